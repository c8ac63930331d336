//! `show`: lists that lag behind the core.

use super::super::core::{Core, World};
use super::super::encode::json_string;
use super::super::listing::Row;
use super::super::tables;

/// Columns of `show calls`: those of the calling leg, then those of the called one with `b_`.
const CALL_COLUMNS: [&str; 20] = [
    "uuid",
    "direction",
    "created",
    "created_epoch",
    "name",
    "state",
    "cid_name",
    "cid_num",
    "ip_addr",
    "dest",
    "presence_id",
    "presence_data",
    "accountcode",
    "callstate",
    "callee_name",
    "callee_num",
    "callee_direction",
    "call_uuid",
    "hostname",
    "sent_callee_name",
];

/// What `show` says without a database.
const NO_DATABASE: &str = "-ERR SQL disabled, no data available!\n";

/// Rows that are read in one go.
const ROWS_AT_ONCE: usize = 128;

/// A table: its columns and its rows.
struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// Runs `show`; `None` for any other api. Without a database it has nothing, whatever is asked for
/// (`show_function` in `mod_commands.c`).
pub(super) fn run(world: &mut World, name: &str, arguments: &str) -> Option<String> {
    if name != "show" {
        return None;
    }
    if world.listing.is_disabled() {
        return Some(NO_DATABASE.to_owned());
    }
    let rows = match reads_rows(arguments) {
        true => world.rows(),
        false => Vec::new(),
    };
    Some(answer(world, arguments, &rows))
}

/// Runs `show` for a connection: the rows are read a few at a time, as from a database beside the
/// core, which goes on meanwhile.
pub(super) async fn aside(core: &Core, arguments: &str) -> String {
    if core.world().listing.is_disabled() {
        return NO_DATABASE.to_owned();
    }
    let mut rows = Vec::new();
    if reads_rows(arguments) {
        let mut after = None;
        loop {
            let some = core.world().rows_after(after, ROWS_AT_ONCE);
            let Some((last, _)) = some.last() else { break };
            after = Some(*last);
            rows.extend(some.into_iter().map(|(_, row)| row));
            tokio::task::yield_now().await;
        }
    }
    answer(&core.world(), arguments, &rows)
}

fn reads_rows(arguments: &str) -> bool {
    let what = arguments.split_whitespace().next().unwrap_or_default();
    ["channels", "calls", "bridged_calls"]
        .iter()
        .any(|table| what.eq_ignore_ascii_case(table))
}

fn answer(world: &World, arguments: &str, rows: &[Row]) -> String {
    let mut words = arguments.split_whitespace();
    let what = words.next().unwrap_or_default().to_ascii_lowercase();
    let mut second = words.next();
    let mut count = false;
    if second.is_some_and(|word| word.eq_ignore_ascii_case("count")) {
        count = true;
        second = words.next();
    }
    let format = if second.is_some_and(|word| word.eq_ignore_ascii_case("as")) {
        words.next()
    } else {
        None
    };
    let table = match what.as_str() {
        "channels" => channels(rows),
        "calls" | "bridged_calls" => calls(rows, what == "bridged_calls"),
        "application" => applications(world, second),
        "api" => interfaces("api", &["name", "description", "syntax", "ikey"]),
        "modules" => modules(),
        "endpoint" | "codec" | "dialplan" | "file" | "timer" | "say" | "chat" => {
            interfaces(&what, &["type", "name", "ikey"])
        }
        "registrations" | "tasks" | "aliases" | "limits" | "nat_map" | "complete"
        | "detailed_calls" | "detailed_bridged_calls" | "interfaces" | "recovery" => {
            Table { columns: Vec::new(), rows: Vec::new() }
        }
        _ => return "-USAGE: codec|endpoint|application|api|dialplan|file|timer|calls [count]|channels [count|like <match string>]|...\n".to_owned(),
    };
    match format {
        Some("json") if count => format!("{{\"row_count\":{}}}", table.rows.len()),
        Some("json") => table.json(),
        _ if count => format!("\n{} total.\n", table.rows.len()),
        Some("xml") => table.xml(),
        _ => table.plain(),
    }
}

fn value<'a>(row: &'a Row, column: &str) -> &'a str {
    let found = row.columns.iter().find(|(name, _)| *name == column);
    found.map_or("", |(_, value)| value.as_str())
}

fn channels(rows: &[Row]) -> Table {
    let columns = rows.first().map(|row| {
        row.columns
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect()
    });
    let rows = rows
        .iter()
        .map(|row| row.columns.iter().map(|(_, value)| value.clone()).collect())
        .collect();
    Table {
        columns: columns.unwrap_or_default(),
        rows,
    }
}

/// Each call once: the leg that called with the one it is bridged to, and the legs that are alone.
fn calls(rows: &[Row], bridged_only: bool) -> Table {
    let mut columns: Vec<String> = CALL_COLUMNS.iter().map(|name| (*name).to_owned()).collect();
    columns.push("sent_callee_num".to_owned());
    let own = columns.clone();
    // The called leg has no call_uuid and hostname of its own in the view.
    let theirs: Vec<&String> = own
        .iter()
        .filter(|name| !["call_uuid", "hostname"].contains(&name.as_str()))
        .collect();
    columns.extend(theirs.iter().map(|name| format!("b_{name}")));
    columns.push("call_created_epoch".to_owned());
    let all: std::collections::HashMap<&str, &Row> =
        rows.iter().map(|row| (row.uuid.as_str(), row)).collect();
    let mut lines = Vec::new();
    for row in rows {
        let other = row
            .bridged
            .as_ref()
            .and_then(|(uuid, since)| Some((*all.get(uuid.as_str())?, since)));
        let second = row
            .columns
            .iter()
            .any(|(name, value)| *name == "direction" && value == "outbound")
            && other.is_some_and(|(other, _)| value(other, "direction") == "inbound");
        let later = other.is_some_and(|(other, _)| {
            value(other, "direction") == value(row, "direction")
                && other.columns[3].1 < row.columns[3].1
        });
        if second || later || (bridged_only && other.is_none()) {
            continue;
        }
        let mut line: Vec<String> = own.iter().map(|name| value(row, name).to_owned()).collect();
        line.extend(
            theirs
                .iter()
                .map(|name| other.map_or("", |(other, _)| value(other, name)).to_owned()),
        );
        line.push(other.map_or(String::new(), |(_, since)| since.to_string()));
        lines.push(line);
    }
    Table {
        columns,
        rows: lines,
    }
}

fn applications(world: &World, only: Option<&str>) -> Table {
    let only = only.filter(|word| !word.eq_ignore_ascii_case("as"));
    let rows = world
        .applications()
        .filter(|[name, ..]| only.is_none_or(|only| *name == only))
        .map(|row| row.map(str::to_owned).into())
        .collect();
    Table {
        columns: ["name", "description", "syntax", "ikey"]
            .map(str::to_owned)
            .into(),
        rows,
    }
}

fn modules() -> Table {
    let rows = tables::modules()
        .map(|row| row.map(str::to_owned).into())
        .collect();
    Table {
        columns: ["type", "name", "ikey", "filename"]
            .map(str::to_owned)
            .into(),
        rows,
    }
}

fn interfaces(kind: &str, columns: &[&str]) -> Table {
    let rows =
        tables::modules()
            .filter(|[found, ..]| *found == kind)
            .map(|[kind, name, module, _]| {
                let cell = |column: &&str| match *column {
                    "type" => kind.to_owned(),
                    "name" => name.to_owned(),
                    "ikey" => module.to_owned(),
                    _ => String::new(),
                };
                columns.iter().map(cell).collect()
            });
    Table {
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        rows: rows.collect(),
    }
}

// === impl Table ===

impl Table {
    /// `as json`; an empty table has no `rows`.
    fn json(&self) -> String {
        let mut out = format!("{{\"row_count\":{}", self.rows.len()).into_bytes();
        for (index, row) in self.rows.iter().enumerate() {
            out.extend_from_slice(if index == 0 { b",\"rows\":[{" } else { b",{" });
            for (at, (column, value)) in self.columns.iter().zip(row).enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                json_string(&mut out, column);
                out.push(b':');
                json_string(&mut out, value);
            }
            out.push(b'}');
        }
        out.extend_from_slice(if self.rows.is_empty() { b"}" } else { b"]}" });
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Lines separated by commas, and the count.
    fn plain(&self) -> String {
        if self.rows.is_empty() {
            return "\n0 total.\n".to_owned();
        }
        let mut out = self.columns.join(",") + "\n";
        for row in &self.rows {
            out.push_str(&row.join(","));
            out.push('\n');
        }
        out + &format!("\n{} total.\n", self.rows.len())
    }

    fn xml(&self) -> String {
        let mut out = format!("<result row_count=\"{}\">\n", self.rows.len());
        for (index, row) in self.rows.iter().enumerate() {
            out.push_str(&format!("  <row row_id=\"{}\">\n", index + 1));
            for (column, value) in self.columns.iter().zip(row) {
                let value = value
                    .replace('&', "&amp;")
                    .replace('<', "&lt;")
                    .replace('>', "&gt;");
                out.push_str(&format!("    <{column}>{value}</{column}>\n"));
            }
            out.push_str("  </row>\n");
        }
        out + "</result>\n"
    }
}
