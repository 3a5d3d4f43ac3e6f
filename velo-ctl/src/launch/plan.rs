//! Decides what execve(2) is called with, when the command, its directories in
//! PATH or its interpreter may be served.
//!
//! The kernel cannot open a served path, so what it must open itself is named by
//! its physical path in the view tree; all arguments keep the paths that the
//! program knows. Follows execvp(3) and the kernel's `#!` rules.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use velo_core::errno::Errno;
use velo_core::executable::{Kind, Machine, Obstacle};

use super::program::kind;

/// PATH when there is none, as confstr(_CS_PATH) says.
const DEFAULT_PATH: &str = "/bin:/usr/bin";
/// Scripts whose interpreter is a script, and so on: the kernel's limit.
const INTERPRETERS_MAX: usize = 5;
/// Runs what is neither ELF nor `#!`, as execvp(3) does.
const SHELL: &str = "/bin/sh";

/// A file that may be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Path that the kernel can open.
    pub physical: PathBuf,
    /// Whether it stands in a manifest.
    pub served: bool,
}

/// The file tree as the command will see it.
pub trait Tree {
    /// The executable at `path` (absolute, or relative to the working directory),
    /// with all symbolic links followed. EACCES if it may not be executed.
    fn executable(&self, path: &[u8]) -> Result<Found, Errno>;
}

/// What to execute, and how.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// Path for the kernel.
    pub program: PathBuf,
    /// The whole argument vector.
    pub arguments: Vec<OsString>,
    /// What to execute instead when the kernel says ENOEXEC.
    pub shell: Option<Box<Plan>>,
}

/// Why there is nothing to execute.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The command, looked for in PATH or at its path.
    Command(Errno),
    /// An interpreter of a script.
    Interpreter {
        /// As the first line says.
        name: Vec<u8>,
        /// Why not.
        errno: Errno,
    },
    /// A program that will not load the preload library, and why.
    Unserved {
        /// The program, as it is known.
        program: Vec<u8>,
        /// Reason, after "it is".
        reason: &'static str,
    },
}

/// What the program must be so that it loads the preload library.
#[derive(Clone, Copy)]
pub struct Demand {
    /// Machine of the library; unknown: any.
    pub machine: Option<Machine>,
    /// Take programs that will not load it, too.
    pub unserved_allowed: bool,
}

/// Finds `command` as execvp(3) would and unfolds `#!` lines as the kernel would.
pub fn plan(
    tree: &dyn Tree,
    path: Option<&OsStr>,
    command: &OsStr,
    rest: &[OsString],
    demand: Demand,
) -> Result<Plan, Refusal> {
    let (name, found) = search(tree, path, command.as_bytes()).map_err(Refusal::Command)?;
    let mut arguments = vec![command.to_owned()];
    arguments.extend_from_slice(rest);
    unfold(tree, name, found, arguments, demand)
}

/// The first executable file of that name; the name it was found under.
fn search(
    tree: &dyn Tree,
    path: Option<&OsStr>,
    command: &[u8],
) -> Result<(Vec<u8>, Found), Errno> {
    if command.contains(&b'/') {
        return tree
            .executable(command)
            .map(|found| (command.to_vec(), found));
    }
    if command.is_empty() {
        return Err(Errno::ENOENT);
    }
    let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
    let mut refused = None;
    for directory in path.as_bytes().split(|&byte| byte == b':') {
        let separator: &[u8] = if directory.is_empty() { b"" } else { b"/" };
        let candidate = [directory, separator, command].concat();
        match tree.executable(&candidate) {
            Ok(found) => return Ok((candidate, found)),
            Err(errno @ Errno::EACCES) => refused = Some(errno),
            Err(_) => {}
        }
    }
    Err(refused.unwrap_or(Errno::ENOENT))
}

/// Follows `#!` lines to the program that is started in the end.
fn unfold(
    tree: &dyn Tree,
    name: Vec<u8>,
    found: Found,
    arguments: Vec<OsString>,
    demand: Demand,
) -> Result<Plan, Refusal> {
    let direct = Plan {
        program: found.physical.clone(),
        arguments: arguments.clone(),
        shell: None,
    };
    let (mut name, mut found, mut arguments) = (name, found, arguments);
    let mut any_served = found.served;
    for _ in 0..=INTERPRETERS_MAX {
        match look(&found) {
            Some(Kind::Script(line)) => {
                let interpreter = line.interpreter().to_bytes().to_vec();
                let argument = line.argument().map(|text| text.to_bytes().to_vec());
                let inner =
                    tree.executable(&interpreter)
                        .map_err(|errno| Refusal::Interpreter {
                            name: interpreter.clone(),
                            errno,
                        })?;
                any_served |= inner.served;
                let front = [Some(interpreter.clone()), argument, Some(name)]
                    .into_iter()
                    .flatten();
                arguments = front
                    .map(OsString::from_vec)
                    .chain(arguments.into_iter().skip(1))
                    .collect();
                (name, found) = (interpreter, inner);
            }
            looked => {
                if let Some(reason) = obstacle(&found, looked.as_ref(), demand) {
                    return Err(Refusal::Unserved {
                        program: name,
                        reason,
                    });
                }
                let shell = matches!(looked, Some(Kind::Other))
                    .then(|| shell(tree, name, &arguments))
                    .transpose()?;
                let unfolded = Plan {
                    program: found.physical,
                    arguments,
                    shell: shell.map(Box::new),
                };
                // What the kernel can find by itself it also unfolds by itself.
                return Ok(if any_served || unfolded.shell.is_some() {
                    unfolded
                } else {
                    direct
                });
            }
        }
    }
    Err(Refusal::Command(Errno::ELOOP))
}

/// `None`: it may be executed, but not read.
fn look(found: &Found) -> Option<Kind> {
    File::open(&found.physical)
        .and_then(|file| kind(&file))
        .ok()
}

/// Why the preload library would not serve this program.
fn obstacle(found: &Found, kind: Option<&Kind>, demand: Demand) -> Option<&'static str> {
    if demand.unserved_allowed {
        return None;
    }
    let unservable = match kind {
        Some(Kind::Elf(elf)) => elf.obstacle(demand.machine).map(Obstacle::words),
        _ => None,
    };
    match unservable {
        Some(reason) => Some(reason),
        None if !found.served && gains_privileges(&found.physical) => Some(
            "privileged (set-user-ID, set-group-ID or capabilities), so the loader ignores LD_PRELOAD",
        ),
        None => None,
    }
}

/// Whether executing it changes the effective ids, which sets AT_SECURE.
fn gains_privileges(program: &Path) -> bool {
    let Ok(metadata) = fs::metadata(program) else {
        return false;
    };
    let (user, group) = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    let capabilities =
        || rustix::fs::getxattr(program, "security.capability", &mut [0_u8; 64][..]).is_ok();
    metadata.mode() & 0o4000 != 0 && metadata.uid() != user
        || metadata.mode() & 0o2010 == 0o2010 && metadata.gid() != group
        || user != 0 && capabilities()
}

/// The shell on the script `name`: what execvp(3) does about ENOEXEC.
fn shell(tree: &dyn Tree, name: Vec<u8>, arguments: &[OsString]) -> Result<Plan, Refusal> {
    let interpreter = SHELL.as_bytes().to_vec();
    let found = tree
        .executable(&interpreter)
        .map_err(|errno| Refusal::Interpreter {
            name: interpreter,
            errno,
        })?;
    let front = [OsString::from(SHELL), OsString::from_vec(name)];
    let arguments = front
        .into_iter()
        .chain(arguments.iter().skip(1).cloned())
        .collect();
    Ok(Plan {
        program: found.physical,
        arguments,
        shell: None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::ffi::{OsStr, OsString};
    use std::path::PathBuf;

    use velo_core::errno::Errno;

    use super::{Demand, Found, Plan, Refusal, Tree, plan};

    /// Served paths by name; everything else is real.
    struct Mixed {
        served: HashMap<&'static str, PathBuf>,
    }

    impl Tree for Mixed {
        fn executable(&self, path: &[u8]) -> Result<Found, Errno> {
            let path = std::str::from_utf8(path).unwrap();
            if let Some(physical) = self.served.get(path) {
                return Ok(Found {
                    physical: physical.clone(),
                    served: true,
                });
            }
            match std::fs::metadata(path) {
                Ok(metadata) if metadata.is_file() => Ok(Found {
                    physical: path.into(),
                    served: false,
                }),
                Ok(_) => Err(Errno::EACCES),
                Err(_) => Err(Errno::ENOENT),
            }
        }
    }

    const ANY: Demand = Demand {
        machine: None,
        unserved_allowed: false,
    };

    /// A directory with scripts, gone at the end.
    struct Scripts(PathBuf);

    impl Scripts {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("velo-ctl-plan-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str, content: &str) -> PathBuf {
            std::fs::write(self.0.join(name), content).unwrap();
            self.0.join(name)
        }
    }

    impl Drop for Scripts {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    fn planned(tree: &Mixed, path: &str, line: &str) -> Result<Plan, Refusal> {
        let all = words(line);
        plan(tree, Some(OsStr::new(path)), &all[0], &all[1..], ANY)
    }

    #[test]
    fn served_script_with_served_interpreter() {
        let scripts = Scripts::new("served");
        let script = scripts.file("pip", "#!/app/bin/python -I\n");
        let tree = Mixed {
            served: HashMap::from([
                ("/app/bin/pip", script),
                ("/app/bin/python", "/proc/self/exe".into()),
            ]),
        };
        let found = planned(&tree, "/nowhere:/app/bin", "pip install x").unwrap();
        assert_eq!(found.program, PathBuf::from("/proc/self/exe"));
        assert_eq!(
            found.arguments,
            words("/app/bin/python -I /app/bin/pip install x")
        );
    }

    #[test]
    fn served_program_keeps_the_name_it_was_called_by() {
        let tree = Mixed {
            served: HashMap::from([("/app/bin/python", "/proc/self/exe".into())]),
        };
        let found = planned(&tree, "/app/bin", "python -V").unwrap();
        assert_eq!(
            found,
            Plan {
                program: "/proc/self/exe".into(),
                arguments: words("python -V"),
                shell: None
            }
        );
    }

    #[test]
    fn real_script_is_left_to_the_kernel_unless_its_interpreter_is_served() {
        let scripts = Scripts::new("real");
        let plain = scripts.file("plain", "#!/proc/self/exe\n");
        let line = format!("{} a", plain.display());
        let tree = Mixed {
            served: HashMap::from([("/app/python", "/proc/self/exe".into())]),
        };
        let found = planned(&tree, "", &line).unwrap();
        assert_eq!(
            found,
            Plan {
                program: plain,
                arguments: words(&line),
                shell: None
            }
        );
        let venv = scripts.file("venv", "#!/app/python\n");
        let found = planned(&tree, "", &format!("{} a", venv.display())).unwrap();
        assert_eq!(
            found.arguments,
            words(&format!("/app/python {} a", venv.display()))
        );
    }

    #[test]
    fn refuses_what_is_not_there_and_what_turns_in_circles() {
        let scripts = Scripts::new("bad");
        let tree = Mixed {
            served: HashMap::new(),
        };
        assert_eq!(
            planned(&tree, "/usr/bin", "no-such-command"),
            Err(Refusal::Command(Errno::ENOENT))
        );
        assert_eq!(
            planned(&tree, "/usr/bin", ""),
            Err(Refusal::Command(Errno::ENOENT))
        );
        let lost = scripts.file("lost", "#!/no/such/python\n");
        let refused = planned(&tree, "", lost.to_str().unwrap());
        assert_eq!(
            refused,
            Err(Refusal::Interpreter {
                name: b"/no/such/python".to_vec(),
                errno: Errno::ENOENT
            })
        );
        let name = scripts.0.join("circle").display().to_string();
        scripts.file("circle", &format!("#!{name}\n"));
        assert_eq!(
            planned(&tree, "", &name),
            Err(Refusal::Command(Errno::ELOOP))
        );
    }

    #[test]
    fn file_without_a_first_line_goes_to_the_shell_after_enoexec() {
        let scripts = Scripts::new("shell");
        let script = scripts.file("bare", "echo hi\n");
        let tree = Mixed {
            served: HashMap::from([("/app/bare", script.clone())]),
        };
        let found = planned(&tree, "", "/app/bare x").unwrap();
        assert_eq!(found.program, script);
        assert_eq!(found.shell.unwrap().arguments, words("/bin/sh /app/bare x"));
    }
}
