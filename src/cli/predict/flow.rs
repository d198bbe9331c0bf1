//! From rows to answers: a thread reads and tokenizes, the kernel computes, the caller's thread sends and writes.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use indicatif::ProgressBar;

use super::output::Output;
use crate::data::encode::{Encoded, encode_pair, encode_single};
use crate::data::{DataError, RowColumns, TextRow, Texts, Tokenizer};
use crate::job::{self, Event, Rows};
use crate::stage::{Interrupts, Kernel, Prediction, Predictor, StageError};

/// How often the loop checks whether the user wants to stop.
const TICK: Duration = Duration::from_millis(50);

/// Rows that the kernel has at a time: enough that it never waits for the next ones.
const ROWS_IN_WORK: usize = 128;

/// Rows that are read ahead.
const ROWS_AHEAD: usize = 1024;

/// Where rows come from.
pub(super) struct Input {
    /// Opens them; of a pipe this waits for the first line.
    pub(super) open: Box<dyn FnOnce() -> Result<Texts, DataError> + Send>,
    /// Folder of the tokenizer.
    pub(super) tokenizer: PathBuf,
    /// Longest input in tokens.
    pub(super) longest: usize,
    /// Rows per batch at most.
    pub(super) batch_size: usize,
}

/// Why there are no more answers.
pub(super) enum Stopped {
    Data(DataError),
    Stage(StageError),
    Output(io::Error),
    Interrupted,
}

impl From<StageError> for Stopped {
    fn from(error: StageError) -> Self {
        Self::Stage(error)
    }
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Answers every row of `input` in order. `begin` makes the output for rows of these columns.
pub(super) fn answer(
    prediction: &Prediction,
    input: Input,
    interrupts: &Interrupts,
    bar: Option<ProgressBar>,
    begin: impl FnOnce(Vec<String>) -> io::Result<Output>,
) -> Result<(), Stopped> {
    let (sender, messages) = channel();
    let heard = sender.clone();
    let hear = move |event: Option<Event>| {
        let message = event.map_or(Message::KernelEnded, Message::Kernel);
        heard.send(message).is_ok()
    };
    let mut flow = Flow {
        predictor: Predictor::start(&Kernel::find(), prediction, interrupts, hear)?,
        output: None,
        batch_size: input.batch_size,
        batches_in_work: (ROWS_IN_WORK / input.batch_size).clamp(2, 8),
        read: VecDeque::new(),
        sent: VecDeque::new(),
        answered: 0,
        is_read: false,
        fault: None,
        failure: None,
        has_ended: false,
        bar,
    };
    let (permits, ahead) = sync_channel(ROWS_AHEAD);
    // It may wait for a line for ever, so nobody waits for it: it ends with the program.
    thread::spawn(move || {
        let fault = read(input, &sender, &permits).err();
        let _ = sender.send(Message::NoMore(fault));
    });
    let stopped = flow.run(&messages, &ahead, interrupts, begin);
    // Whatever happened: what was answered before stays.
    let is_answered = flow.is_read && flow.read.is_empty() && flow.sent.is_empty();
    let is_whole = stopped.is_ok() && is_answered && flow.fault.is_none() && flow.failure.is_none();
    let flushed = match &mut flow.output {
        Some(output) if is_whole => output.finish(),
        _ => flow.flush(),
    };
    if let Some(bar) = &flow.bar {
        bar.finish_and_clear();
    }
    stopped?;
    flushed?;
    let is_answered = flow.sent.is_empty() && flow.read.is_empty();
    match flow.fault.filter(|_| is_answered) {
        Some(fault) => Err(Stopped::Data(fault)),
        None => Ok(flow.predictor.end(flow.failure, is_answered)?),
    }
}

/// What the caller's thread learns from the others.
enum Message {
    /// The input is open and has these columns.
    Opened(Vec<String>),
    Row(Row),
    /// There are no more rows, or one could not be read.
    NoMore(Option<DataError>),
    Kernel(Event),
    KernelEnded,
}

struct Row {
    encoded: Encoded,
    columns: RowColumns,
    /// Bytes of the input up to its end.
    bytes: u64,
}

/// Reads and tokenizes rows as long as somebody takes them.
fn read(input: Input, out: &Sender<Message>, permits: &SyncSender<()>) -> Result<(), DataError> {
    let tokenizer = Tokenizer::load(&input.tokenizer)?;
    let mut texts = (input.open)()?;
    if out.send(Message::Opened(texts.columns().to_vec())).is_err() {
        return Ok(());
    }
    while let Some(row) = texts.next_row()? {
        let row = Row {
            encoded: encode(&tokenizer, &row, input.longest)?,
            columns: row.columns,
            bytes: texts.bytes_read(),
        };
        if permits.send(()).is_err() || out.send(Message::Row(row)).is_err() {
            break;
        }
    }
    Ok(())
}

/// Tokenizes a row as training data are: with special tokens, truncated to `longest` tokens.
fn encode(tokenizer: &Tokenizer, row: &TextRow, longest: usize) -> Result<Encoded, DataError> {
    let ids = |text: &str| {
        let ids = tokenizer.encode(text);
        ids.map_err(|source| DataError::Encode { source })
    };
    let (first, special) = (ids(&row.text)?, tokenizer.special());
    Ok(match &row.pair {
        None => encode_single(&first, special, longest),
        Some(second) => encode_pair(&first, &ids(second)?, special, longest),
    })
}

/// Rows on their way.
struct Flow<'a> {
    predictor: Predictor<'a>,
    output: Option<Output>,
    batch_size: usize,
    /// Batches that the kernel has at a time, at most.
    batches_in_work: usize,
    /// Rows that are not sent yet.
    read: VecDeque<Row>,
    /// Batches that the kernel has: what the answers need of their rows.
    sent: VecDeque<Vec<(RowColumns, u64)>>,
    answered: u64,
    /// Whether no row will follow.
    is_read: bool,
    fault: Option<DataError>,
    /// What the kernel reported.
    failure: Option<job::Failure>,
    /// Whether the kernel is gone.
    has_ended: bool,
    bar: Option<ProgressBar>,
}

impl Flow<'_> {
    fn run(
        &mut self,
        messages: &Receiver<Message>,
        ahead: &Receiver<()>,
        interrupts: &Interrupts,
        begin: impl FnOnce(Vec<String>) -> io::Result<Output>,
    ) -> Result<(), Stopped> {
        let mut begin = Some(begin);
        let mut take = |flow: &mut Self, message| match message {
            Message::Opened(columns) => {
                flow.output = begin.take().map(|begin| begin(columns)).transpose()?;
                Ok(())
            }
            message => flow.take(message),
        };
        loop {
            while let Ok(message) = messages.try_recv() {
                take(self, message)?;
                self.send(self.batch_size, ahead)?;
            }
            // A row that comes alone does not wait for others.
            self.send(1, ahead)?;
            match interrupts.count() {
                0 => {}
                // What the kernel has is still answered.
                1 if !self.sent.is_empty() => self.stop(),
                _ => return Err(Stopped::Interrupted),
            }
            let is_answered = self.is_read && self.read.is_empty() && self.sent.is_empty();
            if is_answered || self.has_ended {
                return Ok(());
            }
            self.flush()?;
            match messages.recv_timeout(TICK) {
                Ok(message) => take(self, message)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    fn take(&mut self, message: Message) -> Result<(), Stopped> {
        match message {
            Message::Row(row) if !self.is_read => self.read.push_back(row),
            Message::NoMore(fault) => {
                self.is_read = true;
                self.fault = fault;
            }
            Message::Kernel(Event::Logits { rows }) => self.write(&rows)?,
            Message::Kernel(Event::Failed(failure)) => self.failure = Some(failure),
            Message::Kernel(Event::Started {
                device, precision, ..
            }) if precision != "fp32" => self.note(&format!(
                "predicting in {precision} on {device}: faster than fp32, and probabilities are rounded to about two digits"
            )),
            // Also a row that was on its way when reading ended.
            Message::Opened(_) | Message::Row(_) | Message::Kernel(_) => {}
            Message::KernelEnded => self.has_ended = true,
        }
        Ok(())
    }

    /// Drops the rows that are not sent yet, and those that are still read.
    fn stop(&mut self) {
        self.is_read = true;
        self.read.clear();
    }

    /// Sends batches while there are at least `least` rows and the kernel has room for them.
    fn send(&mut self, least: usize, ahead: &Receiver<()>) -> Result<(), Stopped> {
        while self.read.len() >= least && self.sent.len() < self.batches_in_work {
            let count = self.read.len().min(self.batch_size);
            let mut rows = Rows::default();
            let mut sent = Vec::with_capacity(count);
            for row in self.read.drain(..count) {
                rows.ids.push(row.encoded.input_ids);
                rows.text_b_start.push(row.encoded.text_b_start);
                sent.push((row.columns, row.bytes));
                let _ = ahead.try_recv();
            }
            self.predictor.send(&rows)?;
            self.sent.push_back(sent);
        }
        Ok(())
    }

    /// Writes the answers to the batch that was sent first.
    fn write(&mut self, logits: &[Vec<f32>]) -> io::Result<()> {
        let Some((output, sent)) = self.output.as_mut().zip(self.sent.pop_front()) else {
            return Ok(());
        };
        self.answered += sent.len() as u64;
        let bytes = sent.last().map_or(0, |(_, bytes)| *bytes);
        for ((columns, _), logits) in sent.into_iter().zip(logits) {
            output.write(&columns, logits)?;
        }
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
            bar.set_message(format!("{} rows", self.answered));
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.as_mut().map_or(Ok(()), Output::flush)
    }

    fn note(&self, text: &str) {
        let write = || {
            // A closed stderr is no reason to stop.
            let _ = writeln!(io::stderr(), "tinyrun: {text}");
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}
