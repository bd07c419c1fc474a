//! The columns that the results CSV adds to a catalog: written by `results`, and read by `catalog` from an earlier one.

use super::words::words;

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
    }
}

impl ResultColumn {
    /// The names of the columns, in their order.
    pub const WORDS: [&str; Self::ALL.len()] = {
        let mut words = [""; Self::ALL.len()];
        let mut at = 0;
        while at < words.len() {
            words[at] = Self::ALL[at].word();
            at += 1;
        }
        words
    };
}
