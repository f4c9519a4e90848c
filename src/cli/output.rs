//! The only place that prints. Results go to standard output, remarks and errors to standard error.

use std::io::{self, Write};

use serde_json::Value;

/// Where a command prints, and in which form.
pub struct Output {
    form: Form,
    results: Box<dyn Write + Send>,
    remarks: Box<dyn Write + Send>,
    /// Whether whoever read the results has seen enough, as `head` has.
    is_unread: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Json,
}

impl Output {
    /// Prints to the process's standard output and error; results as JSON if asked to.
    pub fn new(json: bool) -> Self {
        Self::to(json, Box::new(io::stdout()), Box::new(io::stderr()))
    }

    /// Prints to these places.
    pub fn to(json: bool, results: Box<dyn Write + Send>, remarks: Box<dyn Write + Send>) -> Self {
        let form = if json { Form::Json } else { Form::Text };
        Self {
            form,
            results,
            remarks,
            is_unread: false,
        }
    }

    /// Writes a line of results. Where nobody reads on, the error is passed on and not printed.
    fn put(&mut self, text: std::fmt::Arguments<'_>) -> io::Result<()> {
        let put = writeln!(self.results, "{text}").and_then(|()| self.results.flush());
        self.is_unread |= put
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        put
    }

    /// Whether results are wanted as JSON.
    pub fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    /// One line of a result.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        self.put(format_args!("{text}"))
    }

    /// A result as one line of JSON.
    pub fn json(&mut self, value: &Value) -> io::Result<()> {
        self.put(format_args!("{value}"))
    }

    /// Something to know beside the result; left out where results are JSON.
    pub fn remark(&mut self, text: &str) -> io::Result<()> {
        match self.form {
            Form::Json => Ok(()),
            Form::Text => writeln!(self.remarks, "{text}"),
        }
    }

    /// Why the command failed. Where even that cannot be printed, the exit code says it.
    pub fn error(&mut self, text: &str) {
        if text.is_empty() || self.is_unread {
            return;
        }
        let printed = match self.form {
            Form::Json => writeln!(self.remarks, "{}", serde_json::json!({"error": text})),
            Form::Text => writeln!(self.remarks, "tollgate: {text}"),
        };
        printed.ok();
    }

    /// Rows under headings, or a JSON list of objects.
    pub fn table(&mut self, table: &Table) -> io::Result<()> {
        match self.form {
            Form::Json => self.json(&table.json()),
            Form::Text => {
                let mut lines = table.lines().into_iter();
                lines.try_for_each(|line| self.put(format_args!("{line}")))
            }
        }
    }
}

/// Rows under headings. The headings are the names of the JSON fields, too.
#[derive(Debug)]
pub struct Table {
    headings: &'static [&'static str],
    rows: Vec<Vec<Value>>,
}

impl Table {
    /// A table; each row has one value a heading: text, number, list of texts, or nothing.
    pub fn new(headings: &'static [&'static str], rows: Vec<Vec<Value>>) -> Self {
        Self { headings, rows }
    }

    fn json(&self) -> Value {
        let object = |row: &Vec<Value>| {
            let fields = self.headings.iter().zip(row);
            Value::Object(
                fields
                    .map(|(name, value)| ((*name).to_owned(), value.clone()))
                    .collect(),
            )
        };
        Value::Array(self.rows.iter().map(object).collect())
    }

    fn lines(&self) -> Vec<String> {
        let head = self
            .headings
            .iter()
            .map(|name| name.replace('_', " ").to_uppercase())
            .collect();
        let mut cells: Vec<Vec<String>> = vec![head];
        cells.extend(
            self.rows
                .iter()
                .map(|row| row.iter().map(cell).collect::<Vec<_>>()),
        );
        let width = |column: usize| {
            let of_row = |row: &Vec<String>| row.get(column).map_or(0, |text| text.chars().count());
            cells.iter().map(of_row).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.headings.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let padded = row
                .iter()
                .zip(&widths)
                .map(|(text, width)| format!("{text:width$}"));
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        cells.iter().map(line).collect()
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_table_is_aligned_text_or_a_list_of_objects() {
        let rows = vec![
            vec![json!("ada"), json!(["user", "admin"]), json!(null)],
            vec![json!("élodie"), json!([]), json!(3)],
        ];
        let table = Table::new(&["name", "roles", "disabled_at"], rows);
        let expected = [
            "NAME    ROLES       DISABLED AT",
            "ada     user,admin  -",
            "élodie              3",
        ];
        assert_eq!(table.lines(), expected);
        let expected = json!([
            {"name": "ada", "roles": ["user", "admin"], "disabled_at": null},
            {"name": "élodie", "roles": [], "disabled_at": 3},
        ]);
        assert_eq!(table.json(), expected);
    }
}
