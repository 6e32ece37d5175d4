//! Every stable code, its kind and what it means to a caller: the source of the page in the docs.
//!
//! A code is never renamed and never changes its kind. Sorted by code; a new one takes its place in the order.

use super::ErrorKind::{self, *};

/// `(code, kind, meaning)` of every [`super::Error`] in the project.
pub const CODES: &[(&str, ErrorKind, &str)] = &[
    ("canonical_json", Internal, "A value could not be written in its canonical form: a defect."),
    ("change_does_not_apply", Conflict, "A recorded change does not fit the document it is applied to."),
    (
        "illegal_job_move",
        Conflict,
        "The job is in a state that does not allow this; the detail lists what is allowed.",
    ),
    ("illegal_plan_move", Conflict, "The plan is in a state that does not allow this."),
    ("illegal_resource_move", Conflict, "The resource is already active or already archived."),
    ("illegal_revision_move", Conflict, "The revision is in a state that does not allow this."),
    (
        "illegal_run_move",
        Conflict,
        "The run is in a state that does not allow this; a run that has ended cannot be stopped.",
    ),
    ("illegal_step_move", Conflict, "The job's step is in a state that does not allow this."),
    (
        "inexact_number",
        Invalid,
        "A number would lose digits in the canonical form, whose numbers are doubles (RFC 8785); write it as a string.",
    ),
    ("invalid_document", Invalid, "The document breaks rules of its kind; `errors` lists all of them."),
    ("malformed_digest", Malformed, "A digest is `sha256:` and 64 hexadecimal digits in lower case."),
    ("malformed_id", Malformed, "An id is a hyphenated uuid; a run reference is `name#number`."),
    ("malformed_name", Malformed, "A name obeys `[a-z]([a-z0-9-]{0,38}[a-z0-9])?`."),
    ("malformed_state", Malformed, "The word is no state of this machine; the detail lists them."),
    ("malformed_time", Malformed, "A time is RFC 3339 with an offset, between the years 0 and 9999."),
    ("run_not_retryable", Conflict, "Only a run that failed or was stopped can be retried."),
];

/// `(code, meaning)` of the violations that this crate reports; planes add those of their kinds to their docs.
pub const VIOLATION_CODES: &[(&str, &str)] = &[
    ("control_character", "A key or a string holds a control character, such as NUL."),
    ("duplicate", "The same entry stands in the list twice."),
    ("empty", "Something that must be said is an empty text."),
    ("inexact_number", "The number would lose digits as a double; write it as a string."),
    ("invalid_kind", "A kind is a word such as `Pipeline`: a capital letter, then letters and digits."),
    ("invalid_label", "The label's key holds a character that filters use."),
    ("invalid_name", "The name is outside the grammar."),
    ("missing_field", "A required field is missing; the pointer says where it should stand."),
    ("too_deep", "Objects and arrays are nested deeper than the limit."),
    ("too_long", "The text has more characters than the limit."),
    ("too_many", "The list has more entries than the limit."),
    ("unknown_field", "There is no such field; the detail names the nearest one."),
    ("unsupported_api_version", "The document's apiVersion is not one that this server reads."),
    ("wrong_type", "The value has another type than the field wants."),
];
