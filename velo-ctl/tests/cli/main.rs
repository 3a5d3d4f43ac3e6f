//! The command line from outside: what it prints, says and exits with.
//!
//! One binary with a module for each theme; every test has a store and a tree of
//! its own. The preload library is replaced by an empty one, so that these tests
//! are about velo-ctl alone; abi-tests run the real one.

mod build;
mod changes;
mod judge;
mod look;
mod plumbing;
mod python;
mod run;
mod sandbox;
