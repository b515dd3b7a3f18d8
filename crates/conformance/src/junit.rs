//! Reports as JUnit XML, as CI systems read it.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use crate::{Entry, Outcome, Report};

pub(crate) fn write(report: &Report) -> String {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    // Writing to memory does not fail.
    let _ = suites(&mut writer, report);
    String::from_utf8_lossy(&writer.into_inner()).into_owned()
}

fn suites(writer: &mut Writer<Vec<u8>>, report: &Report) -> io::Result<()> {
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let all: Vec<&Entry> = report.entries.iter().collect();
    let name = format!("eplb conformance {}", report.backend);
    let element = writer.create_element("testsuites");
    let element = element.with_attribute(("name", name.as_str()));
    let counts = attributes(&all);
    let element = element.with_attributes(pairs(&counts));
    element.write_inner_content(|writer| {
        for (topic, _) in report.topics() {
            let entries = report.entries.iter();
            let of_topic: Vec<&Entry> = entries.filter(|entry| entry.topic == topic).collect();
            suite(writer, report, topic, &of_topic)?;
        }
        Ok(())
    })?;
    Ok(())
}

fn suite(
    writer: &mut Writer<Vec<u8>>,
    report: &Report,
    topic: &str,
    entries: &[&Entry],
) -> io::Result<()> {
    let counts = attributes(entries);
    let element = writer.create_element("testsuite").with_attribute(("name", text(topic).as_str()));
    element.with_attributes(pairs(&counts)).write_inner_content(|writer| {
        writer.create_element("properties").write_inner_content(|writer| {
            let devices = report.devices.iter().flat_map(|device| {
                [("device", device.name.as_str()), ("software", device.software.as_str())]
            });
            let backend = [("backend", report.backend.as_str())];
            for (name, value) in backend.into_iter().chain(devices) {
                let property = writer.create_element("property").with_attribute(("name", name));
                property.with_attribute(("value", text(value).as_str())).write_empty()?;
            }
            Ok(())
        })?;
        entries.iter().try_for_each(|entry| case(writer, report, entry))
    })?;
    Ok(())
}

fn case(writer: &mut Writer<Vec<u8>>, report: &Report, entry: &Entry) -> io::Result<()> {
    let class = format!("{}.{}", report.backend, entry.topic);
    let element = writer
        .create_element("testcase")
        .with_attribute(("classname", text(&class).as_str()))
        .with_attribute(("name", text(&entry.title()).as_str()))
        .with_attribute(("time", format!("{:.3}", entry.seconds).as_str()));
    let (tag, message) = match &entry.outcome {
        Outcome::Pass => {
            element.write_empty()?;
            return Ok(());
        }
        Outcome::Fail { text } => ("failure", text.clone()),
        Outcome::UnexpectedPass { reason } => {
            ("failure", format!("it passed, and a failure was expected: {reason}"))
        }
        Outcome::Skip { missing } => ("skipped", format!("missing: {}", missing.join(", "))),
        Outcome::ExpectedFailure { reason, text } => {
            ("skipped", format!("expected failure: {reason}: {text}"))
        }
    };
    let message = text(&message);
    element.write_inner_content(|writer| {
        let element = writer.create_element(tag).with_attribute(("message", message.as_str()));
        element.write_text_content(BytesText::new(&text(&entry.checks)))?;
        Ok(())
    })?;
    Ok(())
}

fn attributes(entries: &[&Entry]) -> [(&'static str, String); 4] {
    let count = |is: &dyn Fn(&Outcome) -> bool| {
        entries.iter().filter(|entry| is(&entry.outcome)).count().to_string()
    };
    let skipped = |outcome: &Outcome| {
        matches!(outcome, Outcome::Skip { .. } | Outcome::ExpectedFailure { .. })
    };
    let seconds: f64 = entries.iter().map(|entry| entry.seconds).sum();
    [
        ("tests", entries.len().to_string()),
        ("failures", count(&Outcome::is_failure)),
        ("skipped", count(&skipped)),
        ("time", format!("{seconds:.3}")),
    ]
}

fn pairs<'a>(
    attributes: &'a [(&'static str, String); 4],
) -> impl Iterator<Item = (&'a str, &'a str)> {
    attributes.iter().map(|(name, value)| (*name, value.as_str()))
}

/// Without the characters that XML has no form for; a vendor's text may hold any.
fn text(text: &str) -> String {
    let allowed =
        |char: &char| matches!(char, '\t' | '\n' | '\r' | '\u{20}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().filter(allowed).collect()
}
