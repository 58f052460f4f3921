//! Sentences that the engine itself says, to a model or to people.

/// Asks for the summary of a conversation.
pub const SUMMARY_REQUEST: &str = "Summarise our conversation so far, so that the work can go on from the summary alone. \
Keep: what I asked for and every constraint I named; what was decided and why; what was changed, with exact file paths; \
what was tried and failed; the state of tests and commands; what remains to be done next, in order. \
Leave out pleasantries and whatever no longer matters. Write plain text under short headings.";

/// Stands before a summary when the conversation goes on from it.
pub const SUMMARY_INTRO: &str = "This conversation was compacted to fit. Here is a summary of everything that came before; go on from it.";

/// Told to the model in the last step that its agent may take.
pub const LAST_STEP: &str = "This is the last step you may take in this turn: no tools are available now. Say what was done, \
what is left, and what you would do next.";

/// Stands behind an answer that was cut off, when its turn is resumed.
pub const GO_ON: &str = "Your answer was interrupted here. Go on where you stopped.";

/// Stands before a command that the user ran.
pub const USER_COMMAND: &str = "The user ran this command:";

/// Told to people behind an answer that reached the model's limit.
pub const CUT_AT_LIMIT: &str =
    "The answer is cut off here: the model reached its limit of output tokens. Ask it to go on.";

/// Told to people when a filter or the model itself ended an answer.
pub const FILTERED: &str =
    "The model or its provider's content filter refused to answer, or to go on with this answer.";

/// Told to people about an answer with nothing in it.
pub const NO_WORD: &str =
    "The model ended its answer without a word. Ask again, or ask it to go on.";
