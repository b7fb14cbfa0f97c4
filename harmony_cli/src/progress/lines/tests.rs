use harmony_core::Context;
use harmony_core::event::Events;

use super::*;

/// Lines with a clock that the test controls, connected to a real context.
struct Fixture {
    context: Context,
    events: Events,
    lines: Lines,
    began: Instant,
}

impl Fixture {
    fn new() -> Self {
        let context = Context::new();
        let events = context.subscribe();
        let began = Instant::now();
        let lines = Lines::new(began, Mode::Apply);
        Self {
            context,
            events,
            lines,
            began,
        }
    }

    /// The output for all events up to this time in milliseconds.
    fn at(&mut self, millis: u64) -> String {
        let now = self.began + Duration::from_millis(millis);
        let mut printed = String::new();
        while let Ok(event) = self.events.try_recv() {
            printed += &self.lines.show(&event, now);
        }
        printed + &self.lines.tick(now)
    }
}

#[test]
fn a_brief_step_gets_one_line() {
    let mut fixture = Fixture::new();
    let step = fixture.context.step("check fleet");
    assert_eq!(fixture.at(0), "");
    step.done("passed");
    assert_eq!(fixture.at(50), "[   0.1s] check fleet: passed\n");
}

#[test]
fn a_long_step_gets_its_start_its_end_and_now_and_then_a_line() {
    let mut fixture = Fixture::new();
    let step = fixture.context.step("build image a");
    assert_eq!(fixture.at(0), "");
    assert_eq!(fixture.at(500), "[   0.5s] build image a\n");
    step.message("compiling kube v5.0.0");
    assert_eq!(fixture.at(4_000), "", "too soon after the last line");
    step.message("compiling tokio v1.48.0");
    assert_eq!(
        fixture.at(5_600),
        "[   5.6s] build image a: compiling tokio v1.48.0\n"
    );
    assert_eq!(fixture.at(12_000), "", "nothing new");
    step.position(1 << 20, 4 << 20, Unit::Bytes);
    assert_eq!(
        fixture.at(13_000),
        "[  13.0s] build image a: 1.00 MiB of 4.00 MiB, compiling tokio v1.48.0\n"
    );
    assert_eq!(
        fixture.at(44_000),
        "[  44.0s] build image a: still running after 44 s\n"
    );
    step.done("sha256:12");
    assert_eq!(
        fixture.at(75_000),
        "[  75.0s] build image a: sha256:12 (1 min 15 s)\n"
    );
}

#[test]
fn concurrent_steps_are_throttled_apart() {
    let mut fixture = Fixture::new();
    let one = fixture.context.step("one");
    let two = fixture.context.step("two");
    assert_eq!(fixture.at(0), "");
    assert_eq!(fixture.at(400), "[   0.4s] one\n[   0.4s] two\n");
    two.message("moves");
    assert_eq!(fixture.at(6_000), "[   6.0s] two: moves\n");
    drop(one);
    two.skipped("");
    assert_eq!(
        fixture.at(7_000),
        "[   7.0s] one: not finished (7.0 s)\n[   7.0s] two: nothing to do (7.0 s)\n"
    );
}

#[test]
fn an_event_is_always_one_line_without_control_sequences() {
    let mut fixture = Fixture::new();
    fixture.context.step("a\nb\u{1b}[2J").done("c\nd");
    assert_eq!(fixture.at(0), "[   0.0s] a b: c d\n");
}
