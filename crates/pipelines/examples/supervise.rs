//! The smallest program that can supervise an attempt, as `qd` and the testbed do it with a hidden command.
//!
//! `supervise <dir>` runs the supervisor of the attempt in `dir`. `launch <dir> <launch.json>` starts one the way
//! the engine does, says so and then stays: the tests kill it to see that the supervisor lives on.

use std::path::Path;
use std::process::ExitCode;

use qd_pipelines::supervisor::{Program, launch, supervise};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["supervise", dir] => supervise(Path::new(dir)),
        ["launch", dir, spec] => launch_and_stay(Path::new(dir), spec),
        _ => ExitCode::from(64),
    }
}

#[expect(clippy::print_stdout, reason = "an example that speaks to its caller")]
fn launch_and_stay(dir: &Path, spec: &str) -> ExitCode {
    let Ok(spec) = serde_json::from_str(spec) else {
        return ExitCode::from(64);
    };
    match launch(dir, &spec, &Program::own()) {
        Ok(outcome) => println!("{outcome:?}"),
        Err(error) => println!("{error}"),
    }
    loop {
        std::thread::park();
    }
}
