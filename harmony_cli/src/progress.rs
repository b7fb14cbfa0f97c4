//! Shows the progress of a run: one listener for its events, with four output formats.

mod bars;
mod lines;

use std::time::{Duration, Instant};

use harmony_core::Context;
use harmony_core::event::{Event, Events};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::bars::Bars;
use self::lines::Lines;
use crate::{json, output, render};

pub(crate) use self::bars::Screen;

/// The output format of progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Bars and spinners, for a terminal.
    Bars,
    /// Plain lines, for logs.
    Lines,
    /// One JSON document per line, on stdout.
    Json,
    /// Warnings only.
    Quiet,
}

/// The task that shows the events of a run.
pub(crate) struct Progress {
    task: JoinHandle<()>,
    stop: CancellationToken,
    screen: Screen,
    catch_up: CatchUp,
}

/// Asks the display to show all events up to now.
#[derive(Debug, Clone)]
pub(crate) struct CatchUp(mpsc::UnboundedSender<oneshot::Sender<()>>);

impl CatchUp {
    /// Returns when they are shown, so that a question appears after the events that led to it.
    pub(crate) async fn wait(&self) {
        let (shown, waiting) = oneshot::channel();
        // a display that has ended has shown what it could
        if self.0.send(shown).is_ok() {
            let _ = waiting.await;
        }
    }
}

impl Progress {
    /// Shows all events of `context` from now on.
    pub(crate) fn start(context: &Context, form: Form) -> Self {
        let stop = CancellationToken::new();
        let screen = Screen::new(form == Form::Bars);
        let display = match form {
            Form::Bars => Display::Bars(Bars::new(screen.clone(), context.mode())),
            Form::Lines => Display::Lines(Lines::new(Instant::now(), context.mode())),
            Form::Json => Display::Json(Instant::now()),
            Form::Quiet => Display::Quiet,
        };
        let (catch_up, requests) = mpsc::unbounded_channel();
        let task = tokio::spawn(show_all(
            context.subscribe(),
            display,
            requests,
            stop.clone(),
        ));
        Self {
            task,
            stop,
            screen,
            catch_up: CatchUp(catch_up),
        }
    }

    /// The screen, for other output during the run.
    pub(crate) fn screen(&self) -> &Screen {
        &self.screen
    }

    pub(crate) fn catch_up(&self) -> &CatchUp {
        &self.catch_up
    }

    /// Returns when all events are shown.
    pub(crate) async fn finish(self) {
        self.stop.cancel();
        // a display that panicked has shown what it could
        let _ = self.task.await;
    }
}

const TICK: Duration = Duration::from_millis(250);

async fn show_all(
    mut events: Events,
    mut display: Display,
    mut requests: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            // events first, so that all earlier events are shown before the display catches up or ends
            biased;
            event = events.recv() => match event {
                Some(event) => display.show(&event),
                None => break,
            },
            Some(shown) = requests.recv() => {
                // the receiver may have been dropped
                let _ = shown.send(());
            }
            () = stop.cancelled() => break,
            _ = ticks.tick() => display.tick(),
        }
    }
    display.finish();
}

enum Display {
    Bars(Bars),
    Lines(Lines),
    Json(Instant),
    Quiet,
}

impl Display {
    fn show(&mut self, event: &Event) {
        match self {
            Self::Bars(bars) => bars.show(event),
            Self::Lines(lines) => output::message(&lines.show(event, Instant::now())),
            Self::Json(began) => json::event(event, began.elapsed()),
            Self::Quiet => {
                if let Event::Warning { message } = event {
                    output::message(&render::warning(message));
                }
            }
        }
    }

    fn tick(&mut self) {
        if let Self::Lines(lines) = self {
            output::message(&lines.tick(Instant::now()));
        }
    }

    fn finish(&mut self) {
        if let Self::Bars(bars) = self {
            bars.finish();
        }
    }
}
