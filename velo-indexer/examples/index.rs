//! Indexes a tree and says how long it took: `index SOURCE STORE-ROOT [THREADS [no-cache]]`.
//! For profiling; the command line proper is velo-ctl.

use std::path::Path;
use std::time::Instant;

use velo_indexer::{BuildOptions, build};
use velo_store::Store;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [source, root, rest @ ..] = arguments.as_slice() else {
        return Err("usage: index SOURCE STORE-ROOT [THREADS [no-cache]]".into());
    };
    let options = BuildOptions {
        threads: rest.first().map_or(Ok(0), |threads| threads.parse())?,
        no_cache: rest.get(1).is_some_and(|word| word == "no-cache"),
        ..BuildOptions::default()
    };
    let clock = Instant::now();
    let store = Store::open_or_create(Path::new(root))?;
    let built = build(Path::new(source), &options, &store, &())?;
    println!(
        "{:.1} ms, manifest of {} bytes",
        clock.elapsed().as_secs_f64() * 1e3,
        built.bytes.len()
    );
    println!("{:#?}", built.summary);
    Ok(())
}
