//! A text cut by every tokenizer that a task needs.

use super::further::Cut;
use super::own_tokens::OwnTokens;
use super::row::encode;
use crate::data::encode::Encoded;
use crate::data::tokenizer::{Session, Tokenizer};

/// The tokenizers of a task, for several threads.
pub(super) struct Encoders {
    pub(super) tokenizer: Tokenizer,
    /// The student's own, where it may split a text otherwise.
    pub(super) students: Option<OwnTokens>,
    pub(super) further: Vec<Cut>,
    /// Longest example in tokens, special tokens included.
    pub(super) longest: usize,
}

/// What one thread needs of [`Encoders`].
pub(super) struct Sessions<'a> {
    tokenizer: Session<'a>,
    students: Option<Session<'a>>,
    further: Vec<Session<'a>>,
}

/// A text after it is cut into word pieces.
pub(super) struct EncodedText {
    /// `None` where it is blank.
    pub(super) example: Option<Encoded>,
    /// Its unknown tokens.
    pub(super) unknown: u64,
    /// By each further tokenizer.
    pub(super) further: Vec<Option<Encoded>>,
}

impl Encoders {
    pub(super) fn sessions(&self) -> Sessions<'_> {
        Sessions {
            tokenizer: self.tokenizer.session(),
            students: self.students.as_ref().map(OwnTokens::session),
            further: self.further.iter().map(Cut::session).collect(),
        }
    }

    /// A text or a pair by the task's tokenizer and by each further one.
    pub(super) fn encode(
        &self,
        sessions: &mut Sessions<'_>,
        (text, pair): (&str, Option<&str>),
    ) -> Result<EncodedText, tokenizers::Error> {
        let (special, session) = (self.tokenizer.special(), &mut sessions.tokenizer);
        let (example, unknown) = encode(session, text, pair, special, self.longest)?;
        let further = self.further.iter().zip(&mut sessions.further);
        let further = further.map(|(cut, session)| cut.encode(session, (text, pair)));
        Ok(EncodedText {
            example,
            unknown,
            further: further.collect::<Result<_, _>>()?,
        })
    }

    /// Whether the student's own tokenizer splits a text otherwise than into `example`.
    pub(super) fn differ(
        &self,
        sessions: &mut Sessions<'_>,
        texts: (&str, Option<&str>),
        example: &Encoded,
    ) -> Result<bool, tokenizers::Error> {
        match (&self.students, &mut sessions.students) {
            (Some(own), Some(session)) => own.differ(session, texts, example, self.longest),
            _ => Ok(false),
        }
    }
}
