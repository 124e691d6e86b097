"""Contract tests that a host of another configuration has to pass as well."""

from importlib import import_module
from typing import Any

#: The main flows: claims, results, statuses, messages and answers, modes, and PHP's own table.
MAIN = {
    "claims": (
        "test_the_oldest_rows_come_first_and_once",
        "test_rows_that_are_not_due_stay",
        "test_expired_rows_become_5",
        "test_an_expiry_with_an_offset_is_taken_at_its_word",
        "test_parallel_claims_never_share_a_row",
        "test_nothing_is_claimed_where_the_crons_send",
    ),
    "send_results": (
        "test_accepted_is_stored_with_everything",
        "test_requeue_waits_until_it_is_due",
        "test_one_batch_of_many_outcomes_and_vendors",
    ),
    "release": ("test_released_rows_are_queued_again_without_an_attempt",),
    "campaign_states": ("test_a_new_campaign_is_as_the_table_says",),
    "statuses": (
        "test_failed_keeps_its_error",
        "test_a_time_that_cannot_be_read_is_now",
        "test_a_repeated_status_changes_nothing",
    ),
    "early_statuses": ("test_a_status_of_an_unrecorded_send_makes_the_log_row",),
    "messages": (
        "test_a_message_is_stored_with_a_new_contact",
        "test_a_message_that_comes_again_is_stored_once",
    ),
    "process_webhooks": ("test_an_inactive_vendor_is_ignored",),
    "replies": (
        "test_a_bot_that_matches_answers",
        "test_a_welcome_is_said_once_in_24_hours",
        "test_what_was_sent_is_not_named_again",
    ),
    "modes": (
        "test_a_change_is_in_the_answer_and_in_the_configuration",
        "test_what_was_changed_is_kept",
    ),
    "due_campaigns": (
        "test_a_requeued_row_is_found_when_it_falls_due",
        "test_rows_that_stand_in_3_become_6",
        "test_old_rows_in_another_status_stay",
        "test_what_messages_have_failed_of",
    ),
    "observe": ("test_the_first_message_in_24_hours",),
    "unknown_messages": ("unknown", "test_only_those_that_have_stood_for_long_enough"),
    "epoch": ("test_the_highest_is_kept", "test_pending_messages_become_unknown"),
    "pending_webhooks": ("test_a_stored_webhook_is_returned_as_it_came",),
    "store_webhooks": ("test_an_id_is_stored_once",),
    "public_webhook": ("test_a_signed_webhook_is_stored",),
    "signing": ("test_a_repeated_call_is_refused",),
    "diagnosis": ("test_vendors_whose_rows_are_due",),
}


def contract_tests(**chosen: tuple[str, ...]) -> dict[str, Any]:
    """Return these tests of ``tests/contract``, and fixtures of theirs, by names for another
    module, which has a fixture ``backend`` of its own."""
    return {
        f"{name}__{module}" if name.startswith("test_") else name: getattr(
            import_module(f"tests.contract.test_{module}"), name
        )
        for module, names in chosen.items()
        for name in names
    }
