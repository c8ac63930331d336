//! What a page says is typed, and what it shows.

/// One thing that happens at a terminal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A line is typed, and prints something.
    Typed {
        line: usize,
        command: String,
        shown: Vec<String>,
    },
    /// The stream that was started last prints more.
    GoesOn { line: usize, shown: Vec<String> },
}

// === impl Step ===

impl Step {
    /// Where the page has it.
    pub(super) fn line(&self) -> usize {
        match self {
            Self::Typed { line, .. } | Self::GoesOn { line, .. } => *line,
        }
    }
}

/// The steps of a page: blocks of code in which grpcurl is typed, and those of JSON alone.
pub(super) fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut block: Option<Vec<(usize, &str)>> = None;
    for (number, line) in (1..).zip(page.lines()) {
        match (line.strip_prefix("```"), &mut block) {
            (Some(_), Some(lines)) => {
                steps.extend(in_block(lines));
                block = None;
            }
            (Some(""), None) => block = Some(Vec::new()),
            // A language: nothing that is typed. What it holds ends like any other block.
            (Some(_), None) => block = Some(vec![(number, "#")]),
            (None, Some(lines)) => lines.push((number, line)),
            (None, None) => {}
        }
    }
    steps
}

fn in_block(lines: &[(usize, &str)]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = lines.iter().peekable();
    match lines.peek() {
        Some((line, "{")) => {
            let shown = lines.map(|(_, text)| (*text).to_owned()).collect();
            steps.push(Step::GoesOn { line: *line, shown });
            return steps;
        }
        Some((_, text)) if text.starts_with("$ grpcurl ") => {}
        _ => return steps,
    }
    while let Some((line, text)) = lines.next() {
        if text.is_empty() {
            continue;
        }
        let mut command = text.trim_start_matches("$ ").to_owned();
        while command.ends_with('\\') || command.matches('\'').count() % 2 == 1 {
            let (_, more) = lines.next().expect("the command ends within its block");
            command = format!("{command}\n{more}");
        }
        let mut shown = Vec::new();
        while let Some((_, text)) = lines.next_if(|(_, text)| !text.starts_with("$ ")) {
            shown.push((*text).to_owned());
        }
        // An empty line before the next command.
        if shown.last().is_some_and(String::is_empty) {
            shown.pop();
        }
        let line = *line;
        steps.push(Step::Typed {
            line,
            command,
            shown,
        });
    }
    steps
}

/// Whether it prints until it is ended.
pub(super) fn goes_on(command: &str) -> bool {
    let rpc = command.trim_end().rsplit('/').next().unwrap_or_default();
    rpc == "Subscribe" || rpc.starts_with("Watch")
}
