"""Writes `docs/promises.md`: what is promised, and which tests hold it. `python -m tests.promises`.

A promise names the files of tests that hold it, and tests that say it best. `tests/test_promises.py` checks that each
of them is there, that every file of tests belongs to a promise, and that the page is current.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "promises.md"


@dataclass(frozen=True)
class Promise:
    """One promise.

    Args:
        id: a short name that stays.
        sentence: what whoever uses the program may rely on.
        held_by: files below `tests/`, and the names of those tests in them that say it best.
    """

    id: str
    sentence: str
    held_by: dict[str, tuple[str, ...]]


def files(folder: str, names: str) -> dict[str, tuple[str, ...]]:
    """Files of one folder, by the words between `test_` and `.py`."""
    return {f"{folder}/test_{name}.py".removeprefix("./"): () for name in names.split()}


PROMISES = (
    Promise(
        "one-state",
        "A reader sees one committed state, whole; readers never block the daemon, the daemon never blocks readers.",
        {
            "store/test_readers.py": (
                "test_a_second_process_that_reads_in_a_loop_sees_no_error_and_only_whole_commits",
            ),
            "run/test_processes.py": ("test_a_reader_beside_a_pull_sees_whole_commits_and_no_error",),
            **files("store", "contents process_lock"),
            **files("cli", "two_processes"),
            **files(".", "typed"),
        },
    ),
    Promise(
        "nothing-disappears",
        "Nothing mirrored disappears because the server stopped listing it, or stopped telling it.",
        {
            "pull/test_gone.py": (
                "test_a_listing_that_is_suddenly_shorter_is_refused_and_nothing_is_marked",
                "test_a_deleted_run_is_kept_and_marked_and_unmarked_when_it_comes_back",
            ),
            "pull/test_untold.py": ("test_what_a_server_tells_no_more_stays_as_it_was_held",),
            "pull/test_short_lists.py": ("test_what_is_held_stays_when_a_list_is_shorter_than_its_count",),
            "store/test_generations.py": (),
            "store/test_maintenance.py": (
                "test_nothing_mirrored_disappears_because_the_server_stopped_listing_it",
                "test_nothing_is_removed_while_another_process_reads_an_older_state",
            ),
            **files("store", "maintenance_objects"),
            **files("cli", "maintain"),
        },
    ),
    Promise(
        "durable-writes",
        "When a write of `Run` returns it survives a power cut, and every process shows it as pending at once.",
        {
            **files("outbox", "faults folding kills model names reading watch"),
            **files("store", "durability"),
            **files("cli", "bulk_edit edit outbox outbox_json"),
        },
    ),
    Promise(
        "delivered-once",
        "Operations of one run are delivered in order, at least once, with no second effect.",
        {
            "replay/test_replay_kills.py": ("test_what_was_acknowledged_takes_effect_once_whoever_is_killed",),
            "replay/test_crash_steps.py": ("test_a_replay_may_die_at_any_step_and_so_may_the_next",),
            "replay/test_what_a_change_answers.py": (
                "test_a_change_whose_payload_was_lost_is_looked_for_before_it_is_sent_again",
            ),
            **files("replay", "attempts beside_pulls deliveries replay_model side_by_side"),
            **files("cli", "replay"),
            **files("system", "return"),
        },
    ),
    Promise(
        "both-sides-merged",
        "What somebody else changed meanwhile is merged or put to a person, never written over.",
        {
            "replay/test_merge.py": (),
            "replay/test_marking.py": ("test_what_others_did_meanwhile_stays",),
            "replay/test_two_writers.py": (),
            "replay/test_another_run.py": (),
            "replay/test_what_is_not_told.py": (
                "test_null_where_this_mirror_holds_something_is_not_taken_for_nothing",
            ),
            "replay/test_forecast.py": ("test_a_dry_run_foretells_what_a_replay_does",),
            **files("cli", "dry_run"),
        },
    ),
    Promise(
        "one-fails-alone",
        "One bad run, field, file or operation never stops the others; what cannot be delivered is buried with its"
        " reason.",
        {
            "pull/test_failures.py": (
                "test_one_poisoned_run_never_stops_the_rest_and_is_taken_when_it_recovers",
                "test_sources_and_globs_are_pulled_side_by_side_and_one_that_fails_stops_no_other",
            ),
            "pull/test_flaws.py": ("test_a_field_that_fails_for_one_run_costs_that_field_alone",),
            "pull/test_slow_bodies.py": ("test_what_trickles_fails_alone_and_the_batch_is_committed",),
            "replay/test_replay_faults.py": (),
            **files("pull", "contents_faults endless_listings failing_sweeps frames leaves"),
            **files("replay", "refusals_teach"),
            **files("run", "malformed_documents not_held"),
            **files("cli", "contents"),
        },
    ),
    Promise(
        "whole-files",
        "A file is visible only after size and digest agree; an interrupted download resumes.",
        {
            "pull/test_contents_faults.py": (
                "test_after_a_storm_a_plain_pull_makes_the_lake_equal_to_the_server",
                "test_a_broken_download_goes_on_where_it_stopped",
            ),
            "api/test_transfer.py": (),
            "store/test_objects.py": (),
            **files("pull", "contents_files narrowed xxhash"),
            **files("run", "files artifacts history_exports"),
            **files("cli", "checkout"),
            **files("texts", "paths"),
        },
    ),
    Promise(
        "kill-9",
        "Kill -9 at any instruction, or a full disk: the next start goes on by itself.",
        {
            "pull/test_killed_pulls.py": (
                "test_a_pull_killed_anywhere_goes_on_and_ends_equal_to_the_server",
                "test_a_full_disk_stops_the_pull_with_a_clear_error_and_the_next_one_ends_it",
            ),
            "check/test_killed_care.py": (),
            "pull/test_kills.py": (),
            "pull/test_committer.py": (),
            "pull/test_cut_listings.py": (),
            "store/test_contents.py": (
                "test_a_kill_between_any_two_steps_of_a_commit_leaves_the_old_or_the_new_contents",
            ),
            "store/test_maintenance.py": ("test_a_maintenance_killed_anywhere_loses_nothing_and_the_next_one_goes_on",),
        },
    ),
    Promise(
        "verify-reads",
        "`verify` only reads, finds any flipped byte, and says what to type; `repair` is separate and says what it will"
        " lose.",
        {
            "check/test_verify.py": ("test_a_flipped_byte_is_found_wherever_it_is_and_names_its_file",),
            "check/test_repair.py": (),
            **files("cli", "verify repair"),
            **files("system", "backup"),
        },
    ),
    Promise(
        "no-socket",
        "Reading opens no socket.",
        {
            "run/test_processes.py": ("test_every_answer_is_the_same_after_a_restart_with_no_socket_and_no_wandb",),
            "run/test_run_history.py": ("test_a_scan_gives_the_rows_that_were_logged_and_opens_no_socket",),
            **files("run", "page page_in_browser"),
            **files("cli", "show_page"),
        },
    ),
    Promise(
        "secrets",
        "The API key is in no log, status, entry, lake row, exception text or repr, and goes to the configured host"
        " alone; a home is its owner's.",
        {
            "api/test_credentials.py": (),
            "api/test_trust.py": (),
            "api/test_deployment.py": (),
            "api/test_signed_url.py": (),
            "cli/test_contract_for_scripts.py": ("test_the_key_is_printed_and_written_nowhere",),
            "cli/test_privacy.py": ("test_every_file_of_a_home_is_its_owners_alone",),
            **files("daemon", "logs report"),
        },
    ),
    Promise(
        "bounded-memory",
        "Memory stays bounded whatever the project's size, and whatever a server sends.",
        {
            "bench/test_memory.py": (),
            "pull/test_bounded_bodies.py": (),
            "daemon/test_watch_folder_scan.py": (),
            "daemon/soak/test_soak.py": (),
            "daemon/soak/test_cycles.py": (),
            "store/test_engine_renewal.py": (),
        },
    ),
    Promise(
        "equals-the-sdk",
        "What `Run` and `Api` answer equals what the SDK answers for the same server state, listed defects aside.",
        {
            "contract/test_local_api_equals_sdk.py": ("test_a_member_answers_what_the_sdk_answers",),
            "contract/test_local_writes_equal_sdk.py": (),
            "contract/test_whole_surface.py": ("test_no_public_name_of_the_sdk_is_missing",),
            **files("contract", "everything_equals_sdk mirror_and_sdk"),
            **files("run", "console_logs errors orders projects run_histories run_history sweeps"),
        },
    ),
    Promise(
        "unmodified-scripts",
        "Unmodified `wandb` scripts read the mirror as they read the server, which need not be there; what is not held"
        " is an error that names the command, never an empty answer.",
        {
            "gateway/test_everything_equals_the_server.py": ("test_a_read_answers_what_it_answered_at_the_server",),
            "gateway/test_exec.py": (
                "test_an_unmodified_script_reads_the_mirror",
                "test_the_commands_own_end_is_the_end",
            ),
            "gateway/test_sees_changes.py": (
                "test_a_queued_edit_is_in_the_next_answer_and_in_filters",
                "test_what_is_not_mirrored_is_an_error_with_its_command",
                "test_a_project_that_is_mirrored_in_part_says_so_beside_the_answer",
                "test_long_documents_end_a_page_early_and_lose_no_run",
            ),
            "gateway/test_artifacts.py": ("test_bytes_that_no_source_wanted_say_how_to_have_them",),
            **files("gateway", "questions"),
            "gateway/test_http.py": (
                "test_without_the_key_nothing_is_answered_and_a_wrong_one_is_refused",
                "test_an_address_is_bound_to_its_path_and_its_time",
            ),
        },
    ),
    Promise(
        "page",
        "The page shows what `mirror.Api` and SQL say of the same home, to who has the key alone; it asks nobody else"
        " and runs nothing that a run brought, also as files; what is changed on it is queued.",
        {
            "web/test_pages.py": (
                "test_a_page_is_drawn_silent_and_accessible",
                "test_a_page_fits_a_phone_and_the_night",
            ),
            "web/test_answers.py": ("test_a_curve_keeps_its_ends_and_extremes_however_long_it_is",),
            "web/test_entry.py": ("test_other_pages_of_the_browser_get_nothing",),
            "web/test_changes.py": ("test_what_somebody_changed_meanwhile_is_not_overwritten",),
            "web/test_export.py": ("test_an_export_is_whole_or_not_there",),
            "cli/test_open.py": ("test_a_port_that_somebody_else_has_is_told_nothing",),
        },
    ),
    Promise(
        "unmodified-writes",
        "What an unmodified script changes is queued as the operations of `mirror.Run`, shows at once, and ends on the"
        " server as if it had been there; what cannot be queued is refused in one sentence.",
        {
            "gateway/test_writes_equal_the_sdks.py": (
                "test_a_write_ends_on_the_server_as_if_it_had_been_there",
                "test_a_write_shows_at_once_at_the_gateway_as_in_the_local_api",
            ),
            "gateway/test_artifact_writes.py": (),
            "gateway/test_writes.py": (
                "test_a_change_is_based_on_what_its_client_saw_and_reverts_nothing_that_came_meanwhile",
                "test_an_agent_of_a_sweep_is_refused_in_one_sentence_and_at_once",
            ),
        },
    ),
    Promise(
        "gateway-bounds",
        "Nobody makes the gateway work, read or keep without an end, no web page and nobody without the key reads it;"
        " whatever is sent has one clear answer; a daemon serves in a process beside it.",
        {
            "gateway/test_bounds.py": (
                "test_a_document_without_bounds_is_refused_in_one_sentence_and_soon",
                "test_a_long_history_is_ended_while_it_is_read",
                "test_large_bodies_that_do_not_come_hold_little_and_keep_nobody_out",
                "test_connections_that_ask_nothing_give_way_to_who_comes",
                "test_errors_without_an_end_are_one",
                "test_neither_the_key_nor_a_signed_address_is_told_in_a_log_or_an_error",
            ),
            "gateway/test_slow_clients.py": (
                "test_clients_that_read_nothing_take_no_more_memory_than_is_set_aside",
                "test_who_neither_sends_nor_reads_gives_way_to_who_comes",
            ),
            "gateway/test_many_readers.py": ("test_a_hundred_clients_are_answered_while_runs_are_pulled_and_changed",),
            "gateway/test_fuzz.py": ("test_documents_that_fit_the_schema_have_one_clear_answer",),
            "system/test_daemon_serves.py": (
                "test_it_serves_where_the_configuration_says_and_a_taken_port_is_a_finding",
            ),
        },
    ),
    Promise(
        "exact",
        "Values survive exactly: integers keep every digit, NaN stays NaN, and the text that W&B sent is kept.",
        {
            "pull/test_values.py": (
                "test_integers_of_any_size_keep_every_digit",
                "test_a_deeper_document_is_kept_as_its_wire_text",
            ),
            "store/test_metrics.py": ("test_a_fold_equals_a_slow_reading_of_the_same_rows",),
            **files("store", "answers history literals metric_layout older_lakes values"),
            **files("run", "history_values values_as_logged"),
            **files("api", "rows times"),
            **files("cli", "history"),
            **files("cli", "compare names narrowed_pulls plot run_names"),
        },
    ),
    Promise(
        "equal-to-the-server",
        "After a pull the lake is the server's truth: runs that grow, are edited, rewound, resumed and made again.",
        {
            "pull/test_mirror_model.py": (),
            "pull/test_rewrites.py": (),
            "pull/test_contents_tails.py": (),
            "daemon/soak/test_soak.py": ("test_half_a_day_with_each_trouble_ends_with_the_servers_truth",),
            **files("pull", "aliases sweeps updates"),
            **files("api", "artifacts client contents streams"),
            **files("records", "sweeps"),
            **files("pull", "updates_plan"),
        },
    ),
    Promise(
        "few-requests",
        "10,000 runs take fewer than 30 requests, a pull that finds nothing new takes one; a rate limit is waited for.",
        {
            "pull/test_incremental.py": (
                "test_a_pull_that_finds_nothing_new_costs_one_request_a_project_and_leaves_no_file",
                "test_the_first_pull_of_many_runs_takes_few_requests",
            ),
            "pull/test_rate_limits.py": ("test_a_storm_of_429_ends_in_a_complete_pull_at_every_page_size",),
            **files("pull", "forecast"),
            **files("api", "budgets limits session"),
            **files(".", "backoff"),
            **files("pull", "plan"),
            **files("bench", "requests"),
        },
    ),
    Promise(
        "any-server",
        "Any server that speaks W&B's API is mirrored as far as it can be; what it lacks is named.",
        {
            "pull/test_servers.py": (
                "test_a_server_of_any_age_is_mirrored_as_far_as_it_can_be",
                "test_one_field_less_costs_what_it_tells_and_nothing_else",
            ),
            "pull/test_refused_words.py": ("test_a_refusal_in_any_words_costs_what_the_server_lacks",),
            "pull/test_server_failures.py": ("test_a_failure_of_one_field_costs_what_that_tells_and_nothing_else",),
            "replay/test_older_servers.py": (),
            **files("api", "documents fitting kept_documents refusals"),
            **files("contract", "server_ages openwandb"),
        },
    ),
    Promise(
        "sql",
        "Runs are listed, filtered and asked for in SQL as the server would, and said in words that no text can forge.",
        {
            "store/test_filters.py": ("test_every_filter_keeps_the_runs_that_the_server_would_list",),
            **files("cli", "closed_streams progress prompt prompt_words runs shells show sql terminal"),
            **files("pull", "local_filter"),
        },
    ),
    Promise(
        "clear-errors",
        "What goes wrong is one clear line, a hint and an exit status that scripts can rely on; nothing is made worse.",
        {
            "cli/test_contract_for_scripts.py": (),
            "store/test_homes.py": (),
            **files("cli", "bad_config bad_home bad_server doctor help init init_asks json odd_ids"),
            **files("daemon", "watch_folder_settings"),
            **files(".", "configuration"),
        },
    ),
    Promise(
        "daemon",
        "A daemon runs for months: it pulls when it is time, takes offline as a state, and ends or restarts cleanly.",
        {
            "system/test_daemon.py": (
                "test_sigterm_while_delivering_loses_nothing",
                "test_a_killed_daemon_is_followed_by_one_that_goes_on",
            ),
            "daemon/soak/test_clock_steps.py": (),
            **files("daemon", "clock_jumps activity connection due_sources restarts scheduler triggers turns"),
            **files("system", "requests unit_command units"),
        },
    ),
    Promise(
        "tells",
        "A daemon and `status` say truly whether a person need do something, to whoever may ask, and nothing else.",
        {
            **files("cli", "status health_status left_behind"),
            **files("daemon", "health http metrics notify"),
            **files("system", "telling"),
        },
    ),
    Promise(
        "watch-folders",
        "What changes in a watch folder reaches its run once, whatever the daemon goes through.",
        {
            "system/test_watch_folder.py": (
                "test_a_daemon_that_is_killed_while_it_queues_loses_no_file_and_sends_none_twice",
            ),
            **files("daemon", "watch_folder watch_folder_rules watch_folder_worker"),
        },
    ),
    Promise(
        "a-true-judge",
        "The sandbox answers as W&B does: the real SDK and W&B's own tests are its judges.",
        {
            **files("contract", "artifacts hard_cases live_runs old_servers reading_history reading_runs sweeps"),
            **files("contract", "writing_runs"),
            **files("sandbox", "agents artifacts command errors faults file_stream history_shapes people portfolios"),
            **files("sandbox", "run_fields scaled_limits server_shapes serving sweep_plan"),
            **files("upstream", "fixture_service gateway_front results"),
        },
    ),
    Promise(
        "true-pages",
        "What README, the pages and the docstrings say is so; the layers and the public names are as drawn.",
        {
            **files(".", "architecture docs promises"),
            **files("bench", "bench"),
            **files("pages", "containers examples pages reference"),
        },
    ),
    Promise(
        "what-is-logged",
        "What people log is reached in what they type: tables, nested values, what is drawn over which step, code.",
        {
            "contract/test_what_people_log.py": (
                "test_a_logged_table_is_asked_in_sql_by_run_and_key",
                "test_a_logged_table_is_a_data_frame",
                "test_a_metric_is_drawn_over_the_step_metric_that_was_defined_for_it",
                "test_a_logged_none_is_told_from_a_key_that_was_never_logged",
            ),
            "run/test_known_keys.py": ("test_unknown_keys_are_told_with_those_that_are_near",),
            "run/test_run_table.py": ("test_runs_are_a_data_frame_with_config_and_summary_as_columns",),
            "run/test_examples.py": (),
            "records/test_step_metrics.py": (),
            "cli/test_typed_values.py": ("test_a_recipe_needs_no_cast",),
            "cli/test_code.py": ("test_the_program_is_printed_byte_for_byte",),
        },
    ),
    Promise(
        "offline-runs",
        "A run that was trained without a server is here as it was logged: whole, once, whatever becomes of its log.",
        {
            "offline/test_equals_wandb_sync.py": ("test_tables_are_equal", "test_documents_are_equal"),
            "offline/test_damaged_logs.py": (
                "test_a_flipped_bit_at_any_boundary_costs_the_record_that_it_hit",
                "test_a_log_that_grows_is_read_once_however_its_writes_fall",
            ),
            "offline/test_adding.py": (
                "test_a_log_that_is_added_again_from_elsewhere_or_as_a_copy_is_the_same",
                "test_what_was_added_stays_when_its_folder_is_removed_or_its_log_shrinks",
            ),
            "carry/test_air_gap.py": (
                "test_what_is_imported_is_delivered_once_also_when_both_homes_deliver",
                "test_a_torn_or_altered_file_is_refused_whole",
            ),
            "system/test_offline_runs.py": (
                "test_runs_are_found_followed_within_seconds_delivered_and_gone_on_with",
                "test_add_beside_a_daemon_is_done_by_it_and_followed",
            ),
            "offline/test_records_together.py": ("test_records_taken_together_come_to_what_each_comes_to_by_itself",),
            "offline/test_together.py": (
                "test_keys_that_are_counted_together_are_those_that_are_counted_row_by_row",
                "test_a_text_is_parsed_as_by_the_parser_of_python",
            ),
            "offline/test_killed_adding.py": ("test_an_add_that_is_killed_anywhere_ends_equal_to_one_that_was_not",),
            "offline/test_reading.py": (
                "test_a_run_in_two_folders_is_one_whose_steps_go_on",
                "test_a_run_that_was_killed_has_every_row_that_reached_the_disk",
            ),
        },
    ),
    Promise(
        "offline-deliveries",
        "A run that was trained without a server goes upstream once and in order, as `wandb sync` would bring it,"
        " whatever is killed, lost or sent by others meanwhile; it is shown before, and never hidden or doubled.",
        {
            "contract/test_offline_runs.py": (
                "test_what_is_delivered_is_what_wandb_sync_brings",
                "test_the_mirror_shows_it_before",
            ),
            "replay/test_sync_many.py": ("test_of_what_an_answer_for_many_lacks_each_asks_alone",),
            "replay/test_sync_runs.py": (
                "test_an_answer_that_is_lost_at_any_step_doubles_nothing",
                "test_two_machines_deliver_the_same_log_with_one_effect",
                "test_a_pull_neither_hides_nor_overwrites_what_is_not_delivered",
                "test_other_rows_upstream_are_a_conflict",
                "test_what_a_log_grows_by_while_it_is_delivered_is_delivered_afterwards",
            ),
            "replay/test_as_wandb_sync.py": (
                "test_the_parts_of_a_run_go_on_from_one_another_however_they_are_named",
                "test_parts_that_are_brought_a_second_time_by_another_home_keep_their_steps",
            ),
            "contract/test_taking_over.py": (
                "test_the_mirror_goes_on_where_wandb_sync_was_killed",
                "test_wandb_sync_goes_on_where_the_mirror_was_killed",
            ),
            "replay/test_together.py": ("test_what_is_expected_is_asked_along_and_is_good_once",),
            "replay/test_sync_alerts.py": (
                "test_alerts_are_sent_once_also_by_another_home",
                "test_one_whose_answer_is_lost_is_not_sent_again",
            ),
            "replay/test_sync_branches.py": (
                "test_a_run_and_its_rewind_are_shown_and_delivered_as_one",
                "test_rows_that_somebody_logged_since_are_not_forgotten_unasked",
            ),
            "contract/test_offline_branches.py": ("test_forks_and_rewinds_are_those_that_wandb_sync_brings",),
            "replay/test_sync_kills.py": ("test_a_run_is_upstream_once_whoever_is_killed",),
            "replay/test_sync_place.py": ("test_a_log_goes_on_behind_the_last_row_that_is_there",),
        },
    ),
    Promise(
        "other-engines",
        "Any engine reads the mirror: plain DuckDB attaches it, and what is exported as Parquet or Iceberg is one"
        " snapshot, whole or as it was, of which only what changed is written again.",
        {
            "store/test_parquet_export.py": (
                "test_every_view_is_there_with_its_rows_and_the_manifest_names_each_file",
                "test_what_is_unchanged_is_not_written_again",
                "test_an_export_that_fails_leaves_the_one_before_whole",
            ),
            "store/test_iceberg_export.py": ("test_every_reader_of_the_format_has_the_rows",),
            "cli/test_export.py": ("test_what_cannot_be_is_one_line_with_a_hint",),
            "cluster/test_other_engines.py": (
                "test_plain_duckdb_reads_it_as_the_guide_says",
                "test_who_may_only_read_reads_everything_and_writes_nothing",
            ),
            "pages/test_derived_tables.py": ("test_a_backfill_in_parallel_is_what_sql_says_and_is_computed_once",),
        },
    ),
    Promise(
        "one-lake-for-a-group",
        "A lake that a group shares is written by one process, which loses that right before another has it; what"
        " anybody queues is seen by all and delivered once; a home moves there and back, compared before the switch;"
        " nobody waits without an end for a database or a bucket that says nothing.",
        {
            "cluster/test_lease.py": (
                "test_a_writer_that_lost_the_lease_commits_nothing_however_late_it_finds_out",
                "test_a_stopped_writer_is_taken_over_from_and_commits_nothing_when_it_goes_on",
                "test_a_program_without_the_lease_can_read_the_lake_and_not_change_it",
            ),
            "cluster/test_daemons.py": (
                "test_of_three_daemons_one_works_and_the_others_take_over_when_it_is_killed_or_stopped",
            ),
            "cluster/test_group_outbox.py": (
                "test_what_one_queues_all_see_and_the_leader_delivers_once",
                "test_a_leader_that_dies_after_the_delivery_leaves_nothing_to_deliver_twice",
                "test_a_machine_without_the_database_queues_and_shows_its_own_and_hands_it_over_later",
            ),
            "cluster/test_migrate.py": (
                "test_a_home_moves_up_and_back_and_says_the_same_everywhere",
                "test_a_move_that_was_cut_off_goes_on_and_switches_nothing_before_its_end",
                "test_a_move_replaces_nothing_that_a_group_has",
            ),
            "cluster/test_care_of_a_group.py": (
                "test_bytes_of_an_upload_that_waits_in_the_group_stay_though_the_leader_never_heard_of_it",
                "test_a_prefix_of_a_bucket_is_that_of_one_lake",
            ),
            "cluster/test_copied_homes.py": (
                "test_what_was_added_in_a_copy_of_a_home_is_delivered_beside_what_the_first_one_handed_over",
                "test_what_is_given_up_before_its_bytes_reach_the_bucket_is_never_delivered",
            ),
            "cluster/test_setup.py": (
                "test_verify_finds_what_is_gone_or_changed_and_repair_brings_it_back",
                "test_maintain_removes_what_nothing_needs_and_spares_what_is_young_or_waits",
            ),
            "cluster/test_silence.py": ("test_a_question_to_a_silent_database_ends_and_the_next_one_is_answered",),
            **files("cluster", "objects served shared_lake"),
            "cluster/test_restore.py": ("test_a_catalog_of_then_with_a_later_bucket_is_the_lake_of_then",),
            "pages/test_group_deployment.py": (
                "test_every_setting_is_one_that_the_program_knows_and_the_lake_is_shared",
            ),
            "cluster/test_many_files.py": ("test_many_small_files_become_few_and_the_others_go",),
            "cluster/test_two_hours.py": ("test_two_hours_of_a_group_in_minutes",),
        },
    ),
    Promise(
        "training-at-the-gateway",
        "A process that trains against the gateway, unmodified, is recorded before it is answered, seen live,"
        " stopped when that is asked, and delivered once.",
        {
            "gateway/test_training.py": (
                "test_the_process_reads_back_what_it_logged",
                "test_it_is_delivered_once",
                "test_a_stop_reaches_the_process",
                "test_a_request_that_is_sent_again_adds_nothing",
            ),
        },
    ),
)


def is_there(file: str, name: str) -> bool:
    """Whether a file of tests has a test of this name."""
    return any(getattr(node, "name", None) == name for node in _parsed(file).body)


def page() -> str:
    """The whole page."""
    parts = [_HEAD, *(f"- [{promise.sentence}](#{promise.id})" for promise in PROMISES)]
    for promise in PROMISES:
        parts += ["", f"## {promise.id}", "", promise.sentence, ""]
        for file, names in sorted(promise.held_by.items()):
            parts.append(f"- [`{file}`](../tests/{file}): {_idea(file)}")
            parts += [f"  - `{name}`" for name in names]
    return "\n".join(parts) + "\n"


_HEAD = """# What is promised, and which tests hold it

*This page is made by `python -m tests.promises` from `tests/promises.py`; a test compares it.*

A change that breaks a promise breaks one of its tests; a change of a promise begins in that file. Each file is named
with the idea at its head, and with the tests that say the promise best. Some go on for longer with `-m soak`, or at
large sizes with `-m bench`; how fast it is, is measured by `python -m tests.bench`.
"""


def _idea(file: str) -> str:
    """The first paragraph of a file's docstring."""
    return " ".join((ast.get_docstring(_parsed(file)) or "").partition("\n\n")[0].split())


def _parsed(file: str) -> ast.Module:
    return ast.parse((TESTS / file).read_text(encoding="utf-8"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
