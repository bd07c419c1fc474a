//! Where a row stands, in the ledger and in the results, and why; what a person decides about that; what the results
//! CSV calls it all.

use super::words::words;

words! {
    /// What the ledger holds of a music task.
    RowState {
        /// Not sent, or sent and put back to be sent again.
        Pending = "pending",
        /// The intent of a submission is durable, and its answer is not recorded yet.
        InFlight = "in_flight",
        /// A submission was made and its answer is lost.
        InDoubt = "in_doubt",
        /// Accepted by the service (code 200 with a cover task id).
        Submitted = "submitted",
        /// The service had a cover already (code 400 or 409).
        Exists = "exists",
        /// Rejected by the service for what it is (404, 413, 422, 451).
        Failed = "failed",
        /// Attempts used up on trouble that may pass.
        GaveUp = "gave_up",
        /// Its cover is finished: the images are known, and on disk if that was wanted.
        Completed = "completed",
        /// The service accepted it and then could not make its cover.
        GenerationFailed = "generation_failed",
        /// A person has decided that nothing is to come of it.
        Ignored = "ignored",
    }
}

impl RowState {
    /// Whether the music task has its cover, or is to have none, and is never sent again.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        self.status().is_settled()
    }

    /// The status that the results CSV shows for it.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::Pending => Status::Pending,
            Self::InFlight | Self::InDoubt => Status::InDoubt,
            Self::Submitted => Status::Submitted,
            Self::Exists => Status::Exists,
            Self::Failed => Status::Failed,
            Self::GaveUp => Status::GaveUp,
            Self::Completed => Status::Completed,
            Self::GenerationFailed => Status::GenerationFailed,
            Self::Ignored => Status::Ignored,
        }
    }
}

words! {
    /// What a person decides about a single music task.
    ManualKind {
        /// It is never sent, nor is its cover followed, and that is no failure.
        Ignore = "ignore",
        /// The next run sends it, whatever became of it before.
        Retry = "retry",
        /// What is known of it is set aside, so that the next run sends it like one that is new.
        Forget = "forget",
    }
}

impl ManualKind {
    /// Where a music task stands once it is decided so.
    #[must_use]
    pub const fn state(self) -> RowState {
        match self {
            Self::Ignore => RowState::Ignored,
            Self::Retry | Self::Forget => RowState::Pending,
        }
    }
}

words! {
    /// What the results CSV says of a row, in the order in which a summary lists them.
    Status {
        /// The cover is finished.
        Completed = "completed",
        /// Accepted by the service.
        Submitted = "submitted",
        /// A cover was already there.
        Exists = "exists",
        /// Not wanted, by the decision of a person.
        Ignored = "ignored",
        /// Rejected by the service.
        Failed = "failed",
        /// Accepted, and then the cover could not be made.
        GenerationFailed = "generation_failed",
        /// Attempts used up.
        GaveUp = "gave_up",
        /// Sent, and the answer was lost.
        InDoubt = "in_doubt",
        /// Not reached, because the run stopped early.
        Pending = "pending",
        /// The row itself is unusable.
        Invalid = "invalid",
    }
}

impl Status {
    /// Whether nothing is left to do for the row.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        match self {
            Self::Completed | Self::Submitted | Self::Exists | Self::Ignored => true,
            Self::Failed | Self::GenerationFailed | Self::GaveUp | Self::InDoubt | Self::Pending | Self::Invalid => {
                false
            }
        }
    }
}

words! {
    /// Why a row has its status: one word, made for a pivot table.
    Reason {
        /// Code 200 with a cover task id.
        Accepted = "accepted",
        /// Code 400: a cover was generated before.
        AlreadyExists = "already_exists",
        /// Code 409: a cover record exists.
        Conflict = "conflict",
        /// Code 404.
        NotFound = "not_found",
        /// Code 422.
        InvalidRequest = "invalid_request",
        /// Code 413 or 451.
        Rejected = "rejected",
        /// Code 429 (frequency), 430 or 405.
        RateLimited = "rate_limited",
        /// Code 455, or words that speak of it.
        Maintenance = "maintenance",
        /// A code that speaks of trouble on the service's side.
        ServerError = "server_error",
        /// No answer within the timeout, or code 408.
        Timeout = "timeout",
        /// No connection, or one that broke.
        Connection = "connection",
        /// An answer that does not say what happened, or that is not the service's.
        BadResponse = "bad_response",
        /// Code 401 or 403: the key or the client is refused.
        Unauthorized = "unauthorized",
        /// Code 402, 433, or 429 with a message about credits.
        NoCredits = "no_credits",
        /// Not reached before `--deadline`.
        Deadline = "deadline",
        /// Not reached: the service refused everyone for `--max-outage`.
        Outage = "outage",
        /// Not reached, or answer lost: the run was ended from outside.
        Interrupted = "interrupted",
        /// Not reached: `--max-failures` stopped the run.
        TooManyFailures = "too_many_failures",
        /// Not reached: beyond the number of `--limit`.
        Limit = "limit",
        /// Not reached: beyond what `--max-credits` allows to spend.
        Budget = "budget",
        /// The answer is lost and `--in-doubt hold` keeps the row back.
        Held = "held",
        /// The row itself is unusable.
        BadRow = "bad_row",
        /// The cover is finished.
        Generated = "generated",
        /// The service could not make the cover.
        GenerationFailed = "generation_failed",
        /// `--check-music`: the music is not finished yet.
        MusicNotReady = "music_not_ready",
        /// `--check-music`: the music could not be made.
        MusicFailed = "music_failed",
        /// A person has decided that it is not sent.
        Ignored = "ignored",
    }
}

words! {
    /// A column of the results CSV. [`ResultColumn::ALL`] is the order in which they stand there.
    ResultColumn {
        /// What became of the row.
        Status = "cover_status",
        /// Whether the next plain rerun sends it.
        Retryable = "cover_retryable",
        /// Why.
        Reason = "cover_reason",
        /// The HTTP status of the last answer.
        HttpStatus = "cover_http_status",
        /// The `code` of the last answer.
        Code = "cover_code",
        /// The service's words.
        Message = "cover_message",
        /// The cover's id.
        CoverTaskId = "cover_task_id",
        /// Submissions made, all runs together.
        Attempts = "cover_attempts",
        /// When the first one was made.
        FirstSentAt = "cover_first_sent_at",
        /// When it was decided.
        FinishedAt = "cover_finished_at",
        /// The number of the first row with the same id.
        DuplicateOfRow = "cover_duplicate_of_row",
        /// The address of the first image.
        Image1 = "cover_image_1",
        /// The address of the second image.
        Image2 = "cover_image_2",
        /// The file of the first image, or that of the default cover.
        File1 = "cover_file_1",
        /// The file of the second image.
        File2 = "cover_file_2",
        /// When the service forgets the images.
        ExpiresAt = "cover_expires_at",
        /// Whether the default cover stands in for the cover.
        Fallback = "cover_fallback",
        /// The route by which the cover was asked for.
        Route = "cover_route",
        /// What the cover cost.
        Credits = "cover_credits",
        /// Width of the first image on disk, in pixels.
        Width1 = "cover_width_1",
        /// Its height.
        Height1 = "cover_height_1",
        /// Bytes of its file.
        Bytes1 = "cover_bytes_1",
        /// Width of the second image on disk, in pixels.
        Width2 = "cover_width_2",
        /// Its height.
        Height2 = "cover_height_2",
        /// Bytes of its file.
        Bytes2 = "cover_bytes_2",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_leads_back_to_its_value() {
        for state in RowState::ALL {
            assert_eq!(RowState::from_word(state.word()), Some(*state));
        }
        for status in Status::ALL {
            assert_eq!(Status::from_word(status.word()), Some(*status));
        }
        for reason in Reason::ALL {
            assert_eq!(Reason::from_word(reason.word()), Some(*reason));
        }
        assert_eq!(Reason::from_word("Accepted"), None);
    }
}
