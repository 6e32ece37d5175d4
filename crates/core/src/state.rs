//! The states of the model and the moves between them, as tables.
//!
//! One mechanism for every noun: a machine is its table of allowed moves ([`Machine::TRANSITIONS`]), [`Machine::step`]
//! looks the move up and refuses what is not there. Who may make a move, and what must be true first (a review, a
//! published revision), is decided by the callers: the table only knows order.
//!
//! The words are those of the wire and of the database; none is ever renamed.

mod labels;
mod machines;

use std::fmt;

use crate::error::Error;

pub use labels::Health;
pub use machines::{JobState, PlanState, ResourceState, RevisionState, RunState, StepState};

/// A closed set of states with a table of moves.
pub trait Machine: Copy + Eq + fmt::Debug + 'static {
    /// What moves, in one word: `run`.
    const NOUN: &'static str;
    /// The code of the error that a refused move becomes: `illegal_run_move`.
    const ILLEGAL_MOVE: &'static str;
    /// Every state; the first is where each begins.
    const ALL: &'static [Self];
    const TRANSITIONS: &'static [(Self, Self)];

    fn as_str(self) -> &'static str;

    /// The states that may follow, in the order of the table.
    fn allowed(self) -> impl Iterator<Item = Self> {
        Self::TRANSITIONS.iter().filter(move |(from, _)| *from == self).map(|(_, to)| *to)
    }

    fn may_become(self, to: Self) -> bool {
        Self::TRANSITIONS.contains(&(self, to))
    }

    /// Nothing follows. Staying is no move: `x.step(x)` is refused.
    fn is_terminal(self) -> bool {
        self.allowed().next().is_none()
    }

    fn step(self, to: Self) -> Result<Self, IllegalMove> {
        if self.may_become(to) { Ok(to) } else { Err(IllegalMove::new(self, to)) }
    }
}

/// A move that its table does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IllegalMove {
    pub noun: &'static str,
    pub code: &'static str,
    pub from: &'static str,
    pub to: &'static str,
    pub allowed: Vec<&'static str>,
}

impl IllegalMove {
    fn new<M: Machine>(from: M, to: M) -> Self {
        Self {
            noun: M::NOUN,
            code: M::ILLEGAL_MOVE,
            from: from.as_str(),
            to: to.as_str(),
            allowed: from.allowed().map(M::as_str).collect(),
        }
    }
}

impl fmt::Display for IllegalMove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { noun, from, to, allowed, .. } = self;
        write!(f, "the {noun} is {from} and cannot become {to}: ")?;
        match allowed.split_last() {
            None => write!(f, "{from} is final"),
            Some((only, [])) => write!(f, "from {from} it can only become {only}"),
            Some((last, others)) => write!(f, "from {from} it can become {} or {last}", others.join(", ")),
        }
    }
}

impl std::error::Error for IllegalMove {}

impl From<IllegalMove> for Error {
    fn from(illegal: IllegalMove) -> Self {
        Error::conflict(illegal.code, illegal.to_string())
    }
}

/// A word that names no state of its set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {noun}{hint}; there are {all}")]
pub struct UnknownState {
    pub noun: &'static str,
    pub text: String,
    pub hint: String,
    pub all: String,
}

impl From<UnknownState> for Error {
    fn from(unknown: UnknownState) -> Self {
        Error::malformed("malformed_state", unknown.to_string())
    }
}

/// A fieldless enum with its words: `ALL`, `as_str`, `Display`, `FromStr`, serde, JSON Schema.
macro_rules! words {
    (
        $(#[$doc:meta])*
        $name:ident ($noun:literal) { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }
    ) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, serde::Deserialize, schemars::JsonSchema,
        )]
        #[schemars(inline)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant),+
        }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::state::UnknownState;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::state::UnknownState {
                        noun: $noun,
                        text: $crate::error::clip(text, 40),
                        hint: $crate::suggest::hint(text, [$($word),+]),
                        all: [$($word),+].join(", "),
                    }),
                }
            }
        }
    };
}

/// The moves of a set of words; the inherent methods spare callers the import of [`Machine`].
macro_rules! machine {
    ($name:ident, $noun:literal, $code:literal, { $($from:ident => [$($to:ident),*]),+ $(,)? }) => {
        impl $crate::state::Machine for $name {
            const NOUN: &'static str = $noun;
            const ILLEGAL_MOVE: &'static str = $code;
            const ALL: &'static [Self] = $name::ALL;
            const TRANSITIONS: &'static [(Self, Self)] = &[$($((Self::$from, Self::$to)),*),+];

            fn as_str(self) -> &'static str {
                $name::as_str(self)
            }
        }

        impl $name {
            pub const TRANSITIONS: &'static [(Self, Self)] = <Self as $crate::state::Machine>::TRANSITIONS;

            pub fn step(self, to: Self) -> Result<Self, $crate::state::IllegalMove> {
                $crate::state::Machine::step(self, to)
            }

            pub fn may_become(self, to: Self) -> bool {
                $crate::state::Machine::may_become(self, to)
            }

            pub fn is_terminal(self) -> bool {
                $crate::state::Machine::is_terminal(self)
            }
        }
    };
}

use {machine, words};
