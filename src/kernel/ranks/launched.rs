//! A process that a launcher has started for a rank, and that lasts for the whole run: rank 0 gathers the others
//! (`gather.rs`), another one serves it (`serve.rs`).

use std::io;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use tinyrun_base::job::{Gathered, LAUNCHED, Launch};

use super::hello::say;
use super::native::are_there;
use super::{gather, serve};
use crate::error::KernelError;
use crate::stop::Stop;

/// What this process was started for, if it gathers ranks or is one of a launcher's.
pub(crate) fn launch_of_arguments() -> Option<Result<Launch, KernelError>> {
    let mut arguments = std::env::args().skip(1);
    let is_launched = arguments.next()? == LAUNCHED;
    let text = arguments.next().filter(|_| is_launched)?;
    Some(serde_json::from_str(&text).map_err(KernelError::Job))
}

/// Gathers the ranks as rank 0, or serves as another one, until the run is over.
pub(crate) fn serve_launch(launch: Result<Launch, KernelError>) -> ExitCode {
    // Catches signals, and ignores them: commands come on stdin. SIGTERM to a whole process tree must not end this
    // process while the stage still writes its checkpoint.
    let _ = Stop::on_signals();
    let lines = lines_of_stdin();
    let done = launch.and_then(|launch| match launch.rank {
        _ if !are_there() => Err(KernelError::OneRankOnly),
        0 => gather::gather(&launch, &lines),
        _ => serve::serve(&launch, &lines),
    });
    match done {
        Ok(()) => {
            say(&Gathered::End);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&Gathered::Failed(error.failure()));
            ExitCode::FAILURE
        }
    }
}

/// Lines of stdin as they come. It ends with the runner.
fn lines_of_stdin() -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if sender.send(line.trim().to_owned()).is_err() {
                return;
            }
        }
    });
    lines
}
