//! How far the attendee is: a plain file that survives updates of the workshop.
