//! The program itself: output and exit codes.

use std::process::{Command, Output};

/// Runs the program with these arguments in an empty environment.
fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_switchgate"))
        .args(arguments)
        .env_clear()
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn help_and_version_are_no_errors() {
    for arguments in [&["--help"] as &[&str], &["--version"], &["serve", "-h"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(
            !output.stdout.is_empty() && output.stderr.is_empty(),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_wrong_command_line_exits_with_64() {
    for arguments in [
        &[] as &[&str],
        &["unknown"],
        &["serve", "--demo", "--node", "a=b"],
        &["serve", "--node", "a"],
        &["healthcheck", "--address", "https://localhost:1"],
        &["check-config"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(64), "{arguments:?}");
    }
}

#[test]
fn a_wrong_configuration_exits_with_64_and_all_errors() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "grpc: {listen: here}\nnodes: [{id: a}]\n").unwrap();
    let path = file.path().to_str().unwrap();
    for arguments in [
        ["check-config", path].as_slice(),
        &["serve", "--config", path],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(64));
        let told = text(&output.stderr);
        assert!(
            told.starts_with(
                "switchgate: the configuration has 2 errors:\n  grpc.listen: `here` is not"
            ) && told.contains("\n  nodes[0].address: is missing;"),
            "{told}"
        );
    }
}

#[test]
fn the_example_configuration_is_good() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/config.example.yaml");
    let output = run(&["check-config", example]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("listen: 127.0.0.1:50061"));
    assert!(text(&output.stderr).contains("warning: node fs1: no password"));
}

#[test]
fn nobody_listening_exits_with_2() {
    // Bound but not listening: connecting is refused, and nobody else can take the port.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    let address = socket
        .local_addr()
        .unwrap()
        .as_socket()
        .unwrap()
        .to_string();
    for command in ["healthcheck", "nodes"] {
        let output = run(&[command, "--address", &address]);
        assert_eq!(output.status.code(), Some(2), "{command}");
        assert!(text(&output.stdout).starts_with(&format!("{address}: unreachable (")));
    }
}

#[test]
fn to_let_everybody_in_from_everywhere_exits_with_64_unless_that_is_said() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let write = |access: &str| {
        let content = format!("grpc: {{listen: '0.0.0.0:0'}}\naccess: {{{access}}}\n");
        std::fs::write(file.path(), content).unwrap();
    };
    write("insecure: false");
    for arguments in [
        ["check-config", path].as_slice(),
        &["serve", "--demo", "--config", path],
        &["serve", "--demo", "--listen", "0.0.0.0:0"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        let told = text(&output.stderr);
        for remedy in ["access.tokens", "listen on 127.0.0.1", "--insecure"] {
            assert!(told.contains(remedy), "{told}");
        }
    }
    write("insecure: true");
    let output = run(&["check-config", path]);
    assert_eq!(output.status.code(), Some(0));
    let told = text(&output.stderr);
    assert!(
        told.contains("warning: access: everybody who reaches the gateway is let in"),
        "{told}"
    );
}

#[test]
fn a_token_and_its_digest_belong_together() {
    let made = run(&["token", "--name", "crm"]);
    assert_eq!(made.status.code(), Some(0));
    let made = text(&made.stdout);
    let token = made.lines().find(|line| line.starts_with("swg_")).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_switchgate"))
        .args(["token", "--digest"])
        .env_clear()
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, format!("{token}\n").as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let digest = text(&output.stdout).trim_end();
    assert!(
        digest.len() == 64 && made.contains(&format!("sha256: \"{digest}\"")),
        "{made}"
    );
}
