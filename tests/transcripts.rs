//! The lines of grpcurl in README.md and docs/grpcurl.md, typed beside `switchgate serve --demo`: they
//! print what the pages show.

mod page;
mod shown;
mod terminal;

use std::process::Command;

use page::Step;
use shown::Known;
use terminal::{Demo, Running};

/// Where the pages have the gateway.
const ADDRESS: &str = "127.0.0.1:50061";

#[test]
fn the_lines_of_the_readme_print_what_it_shows() {
    replay("README.md");
}

#[test]
fn the_lines_of_the_page_about_grpcurl_print_what_it_shows() {
    replay("docs/grpcurl.md");
}

/// Types every line of a page in its order. An id that one line has shown is, in those after it, the
/// one that came really.
fn replay(path: &str) {
    if Command::new("grpcurl").arg("-version").output().is_err() {
        return eprintln!("skipped: grpcurl is missing (github.com/fullstorydev/grpcurl)");
    }
    let demo = Demo::start();
    let mut known = Known::default();
    // What goes on until it is ended, as in a terminal of its own.
    let mut stream: Option<Running> = None;
    let steps = page::steps(&std::fs::read_to_string(path).unwrap());
    assert!(!steps.is_empty(), "{path} has no line of grpcurl");
    for step in &steps {
        let place = format!("{path}:{}", step.line());
        match step {
            Step::Typed { command, shown, .. } => {
                let command = known.translate(command).unwrap_or_else(|id| {
                    panic!("{place}: no line before it has shown {id}");
                });
                let command = command.replace(ADDRESS, &demo.address);
                let mut running = Running::start(&command);
                if page::goes_on(&command) {
                    running.expect(shown, &mut known, &place);
                    stream = Some(running);
                } else {
                    running.expect_all(shown, &mut known, &place);
                }
            }
            Step::GoesOn { shown, .. } => {
                let stream = stream.as_mut().expect("a stream goes on");
                stream.expect(shown, &mut known, &place);
            }
        }
    }
}
