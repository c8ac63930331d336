//! `docs/api.md`: every service, message and enum of the API with its comment.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet, ServiceDescriptorProto,
};

use super::cell;

const PAGE: &str = "docs/api.md";
const PACKAGE: &str = ".switchgate.v1.";
/// Field numbers of `descriptor.proto`, of which the paths of comments are made.
const MESSAGE: i32 = 4;
const ENUM: i32 = 5;
const SERVICE: i32 = 6;
/// Of a field, a method and an enum's value alike.
const MEMBER: i32 = 2;
const ONEOF: i32 = 8;

#[test]
fn the_reference_is_that_of_the_proto_comments() {
    let page = render(&compiled());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(PAGE, &page).unwrap();
    }
    assert_eq!(
        fs::read_to_string(PAGE).unwrap_or_default(),
        page,
        "run UPDATE_DOCS=1 ./test docs:: to write it anew"
    );
}

#[test]
fn everything_of_the_api_has_a_comment_and_each_link_of_the_reference_its_heading() {
    let page = render(&compiled());
    for line in page.lines() {
        assert!(!line.ends_with(" |  |"), "no comment: {line}");
    }
    let anchors: Vec<String> = page
        .lines()
        .filter_map(|line| line.trim_start_matches('#').strip_prefix(' '))
        .map(|title| title.to_lowercase().replace('.', ""))
        .collect();
    for link in page.split("](#").skip(1) {
        let anchor = link.split(')').next().unwrap();
        assert!(anchors.iter().any(|known| known == anchor), "{anchor}");
    }
}

/// The files of the API, with their comments.
fn compiled() -> FileDescriptorSet {
    let mut files: Vec<PathBuf> = fs::read_dir("proto/switchgate/v1")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut compiler = protox::Compiler::new(["proto"]).unwrap();
    compiler
        .include_source_info(true)
        .open_files(files)
        .unwrap();
    compiler.file_descriptor_set()
}

fn render(set: &FileDescriptorSet) -> String {
    let files: Vec<(&FileDescriptorProto, Comments)> = set
        .file
        .iter()
        .map(|file| (file, Comments::of(file)))
        .collect();
    let mut page = String::from(
        "# API reference\n\n\
         Made from the comments in [proto/switchgate/v1](../proto/switchgate/v1). [rpcs.md](rpcs.md) tells of each RPC \
         what it sends to FreeSWITCH and how it fails, on one line; [grpcurl.md](grpcurl.md) shows each service at work.\n",
    );
    let (mut messages, mut enums) = (Vec::new(), Vec::new());
    for (file, comments) in &files {
        for service in &file.service {
            let _ = write!(
                page,
                "\n- {}",
                linked(&format!("{PACKAGE}{}", service.name()))
            );
        }
        messages.extend(
            (0..)
                .zip(&file.message_type)
                .map(|(at, it)| (it, at, comments)),
        );
        enums.extend(
            (0..)
                .zip(&file.enum_type)
                .map(|(at, it)| (it, at, comments)),
        );
    }
    page.push_str("\n- [Messages](#messages)\n- [Enums](#enums)\n");
    for (file, comments) in &files {
        for (at, service) in (0..).zip(&file.service) {
            write_service(&mut page, service, at, comments);
        }
    }
    page.push_str("\n## Messages\n");
    messages.sort_by_key(|(message, ..)| message.name());
    for (message, at, comments) in messages {
        write_message(&mut page, message, at, comments);
    }
    page.push_str("\n## Enums\n");
    enums.sort_by_key(|(it, ..)| it.name());
    for (it, at, comments) in enums {
        write_enum(&mut page, it, at, comments);
    }
    page
}

fn write_service(page: &mut String, it: &ServiceDescriptorProto, at: i32, comments: &Comments) {
    let _ = write!(
        page,
        "\n## {}\n\n{}",
        it.name(),
        comments.block(&[SERVICE, at])
    );
    for (number, method) in (0..).zip(&it.method) {
        let stream = if method.server_streaming() {
            "a stream of "
        } else {
            ""
        };
        let _ = write!(
            page,
            "\n### {}.{}\n\nTakes {}, returns {stream}{}.\n\n{}",
            it.name(),
            method.name(),
            linked(method.input_type()),
            linked(method.output_type()),
            comments.block(&[SERVICE, at, MEMBER, number]),
        );
    }
}

fn write_message(page: &mut String, it: &DescriptorProto, at: i32, comments: &Comments) {
    let _ = write!(
        page,
        "\n### {}\n\n{}",
        it.name(),
        comments.block(&[MESSAGE, at])
    );
    if it.field.is_empty() {
        return;
    }
    page.push_str("\n| field | type | |\n|---|---|---|\n");
    let mut group = None;
    for (number, field) in (0..).zip(&it.field) {
        if field.oneof_index != group && !field.proto3_optional() {
            group = field.oneof_index;
            if let Some(oneof) = group {
                let name = it.oneof_decl[oneof as usize].name();
                let comment = comments.line(&[MESSAGE, at, ONEOF, oneof]);
                let _ = writeln!(page, "| `{name}` | one of the next | {comment} |");
            }
        }
        let comment = comments.line(&[MESSAGE, at, MEMBER, number]);
        let of = if group.is_some() { "&nbsp;&nbsp;" } else { "" };
        let _ = writeln!(
            page,
            "| {of}`{}` = {} | {} | {comment} |",
            field.name(),
            field.number(),
            type_of(field, it),
        );
    }
}

fn write_enum(page: &mut String, it: &EnumDescriptorProto, at: i32, comments: &Comments) {
    let _ = write!(
        page,
        "\n### {}\n\n{}\n| value | |\n|---|---|\n",
        it.name(),
        comments.block(&[ENUM, at])
    );
    for (number, value) in (0..).zip(&it.value) {
        let comment = comments.line(&[ENUM, at, MEMBER, number]);
        let _ = writeln!(
            page,
            "| `{}` = {} | {comment} |",
            value.name(),
            value.number()
        );
    }
}

/// As the proto file has it, with links.
fn type_of(field: &FieldDescriptorProto, message: &DescriptorProto) -> String {
    let entry = message.nested_type.iter().find(|nested| {
        nested
            .options
            .as_ref()
            .is_some_and(|options| options.map_entry())
            && field.type_name().ends_with(&format!(".{}", nested.name()))
    });
    if let Some(entry) = entry {
        let [key, value] = [0, 1].map(|at| type_of(&entry.field[at], entry));
        return format!("map of {key} to {value}");
    }
    let name = match field.r#type() {
        Type::Message | Type::Enum => linked(field.type_name()),
        other => other
            .as_str_name()
            .trim_start_matches("TYPE_")
            .to_lowercase(),
    };
    match field.label() {
        Label::Repeated => format!("repeated {name}"),
        _ if field.proto3_optional() => format!("optional {name}"),
        _ => name,
    }
}

/// A type of the API as a link to its heading; another one by its name.
fn linked(name: &str) -> String {
    match name.strip_prefix(PACKAGE) {
        Some(own) => format!("[{own}](#{})", own.to_lowercase()),
        None => format!("`{}`", name.trim_start_matches('.')),
    }
}

/// The comments of a file by the paths of what they stand before.
struct Comments(HashMap<Vec<i32>, String>);

// === impl Comments ===

impl Comments {
    fn of(file: &FileDescriptorProto) -> Self {
        let located = file.source_code_info.iter().flat_map(|info| &info.location);
        let comments = located.map(|it| (it.path.clone(), it.leading_comments().to_owned()));
        Self(comments.collect())
    }

    fn text(&self, path: &[i32]) -> &str {
        self.0.get(path).map_or("", String::as_str)
    }

    /// As it stands there, a list stays one.
    fn block(&self, path: &[i32]) -> String {
        let mut block = String::new();
        for line in self.text(path).lines() {
            let line = line.strip_prefix(' ').unwrap_or(line);
            // Each a paragraph of its own.
            if line.starts_with("Condition: ") || line.starts_with("Errors: ") {
                block.push('\n');
            }
            let _ = writeln!(block, "{line}");
        }
        block
    }

    /// For a cell of a table.
    fn line(&self, path: &[i32]) -> String {
        match self.text(path) {
            "" => String::new(),
            text => cell(text),
        }
    }
}
