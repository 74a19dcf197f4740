"""Every rule catches a history that breaks it, so that their silence after a storm means something."""

from __future__ import annotations

import unittest
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.kills import graphs, order, rules, shares
from tests.kills.history import ERROR, OK, REFUSED, UNKNOWN
from tests.kills.rules import RULES, Rule
from tests.kills.tale import LEASE, Node, Tale, good_firings, good_graph, good_tale
from tests.kills.tasks import EFFECT, GATHER
from tests.kills.verdict import findings, late_settlements, struck, tied

Twist = Callable[[Tale], object]


class RuleCase(unittest.TestCase):
    """Tells a good tale with a twist, and asks a rule what it finds."""

    good: Callable[[], Tale] = staticmethod(good_tale)

    def assert_catches(self, rule: Rule, pattern: str, twist: Twist) -> None:
        """The rule finds what the twist does to a good tale, and only that."""
        tale = self.good()
        twist(tale)
        found = list(rule(tale.evidence()))
        self.assertTrue(found, "the rule found nothing")
        for each in found:
            self.assertRegex(each, pattern)

    def assert_passes(self, twist: Twist) -> None:
        """Nothing is found when the twist is done to a good tale."""
        tale = self.good()
        twist(tale)
        self.assertEqual(findings(tale.evidence()), [])


class TestRules(RuleCase):
    def test_a_good_tale_breaks_no_rule(self) -> None:
        self.assert_passes(lambda tale: None)

    def test_every_rule_has_a_history_here_that_breaks_it(self) -> None:
        told = Path(__file__).read_text(encoding="utf-8")
        for rule in RULES:
            self.assertIn(rule.__name__, told)

    # --- what was asked and what is stored ---------------------------------------------------------

    def test_errors(self) -> None:
        for twist in (
            lambda tale: tale.tell("turn", outcome=ERROR, settlements=[], wants=[], worker=1),
            lambda tale: tale.tell("log", text="the heartbeat could not do its work"),
            lambda tale: tale.tell("died", traceback="Traceback …"),
            lambda tale: tale.tell("bury", 1, by=0, actor=9),
            lambda tale: tale.tell("kill", -11, by=0, actor=9),
        ):
            self.assert_catches(rules.no_unexpected_error, "actor [19]", twist)
        self.assert_passes(lambda tale: tale.tell("log", text="reap jobs=3 from workers that died"))

    def test_lost(self) -> None:
        self.assert_catches(
            rules.acknowledged_is_stored, r"job 1 \(token 1\) .* not there", lambda tale: tale.gone(1)
        )
        self.assert_catches(
            rules.acknowledged_is_stored,
            "acknowledged as token 1 and is other",
            lambda tale: tale.stored(1, token="other"),
        )

    def test_gone_with_a_reason(self) -> None:
        def pruned(tale: Tale) -> None:
            tale.enqueue(6, retention=5)
            tale.claim(6, by=2)
            tale.settle(6, by=2)
            tale.tell("prune", 1, limit=10)
            tale.change(last_id=6)

        def pruned_unended(tale: Tale) -> None:
            tale.enqueue(6, retention=5)
            tale.claim(6, by=2)
            tale.settle(6, "again", by=2)
            tale.tell("prune", 1, limit=10)

        def deleted(tale: Tale) -> None:
            tale.tell("delete", job=1, outcome=UNKNOWN, by=2)
            tale.gone(1)

        def not_deleted(tale: Tale) -> None:
            tale.tell("delete", job=1, outcome=REFUSED, by=2)
            tale.gone(1)

        self.assert_passes(pruned)
        self.assert_passes(deleted)
        self.assert_catches(rules.acknowledged_is_stored, "job 6", pruned_unended)
        self.assert_catches(rules.acknowledged_is_stored, "job 1", not_deleted)

    def test_an_id_given_twice(self) -> None:
        self.assert_catches(
            rules.ids_are_given_once, "id 1 was acknowledged 2 times", lambda tale: tale.enqueue(1)
        )

    def test_stored_and_not_asked_for(self) -> None:
        self.assert_catches(
            rules.stored_was_asked_for, "job 9 .* nobody asked", lambda tale: tale.stored(9, "cancelled")
        )
        self.assert_catches(
            rules.stored_was_asked_for, "stored 2 times", lambda tale: tale.stored(9, token="token 1")
        )

    def test_rolled_back_and_there(self) -> None:
        def twist(tale: Tale) -> None:
            tale.enqueue(6, rolled_back=True)
            tale.stored(6)

        self.assert_catches(rules.stored_was_asked_for, "job 6 .* rolled back", twist)
        self.assert_passes(lambda tale: tale.enqueue(6, rolled_back=True))

    def test_half_a_bulk(self) -> None:
        def half(tale: Tale) -> None:
            tale.enqueue(6, 7, outcome=UNKNOWN)
            tale.stored(6, "cancelled")

        def whole(tale: Tale) -> None:
            half(tale)
            tale.stored(7, "cancelled")

        self.assert_catches(rules.bulks_are_whole, "of 2 jobs .* 1 are stored", half)
        self.assert_passes(whole)
        self.assert_passes(lambda tale: tale.enqueue(6, 7, outcome=UNKNOWN))

    def test_a_row_without_its_job(self) -> None:
        def row_alone(tale: Tale) -> None:
            tale.enqueue(6, outcome=UNKNOWN, row="token 6")
            tale.change(ledger=("token 6",))

        def both(tale: Tale) -> None:
            row_alone(tale)
            tale.stored(6, "cancelled")

        def job_alone(tale: Tale) -> None:
            both(tale)
            tale.change(ledger=())

        self.assert_catches(rules.bulks_are_whole, "row token 6 is there", row_alone)
        self.assert_catches(rules.bulks_are_whole, "row token 6 is missing", job_alone)
        self.assert_passes(both)

    def test_no_end(self) -> None:
        for state in ("ready", "scheduled", "running", "blocked"):
            self.assert_catches(
                rules.everything_ends,
                f"job 1 is {state} after",
                lambda tale, state=state: tale.stored(1, state),  # type: ignore[misc]
            )
        self.assert_catches(rules.everything_ends, "2 workers are still", lambda tale: tale.change(workers=2))

    def test_pruned_and_not_gone_or_gone_and_not_pruned(self) -> None:
        self.assert_catches(
            rules.pruned_is_counted, "1 jobs were said", lambda tale: tale.tell("prune", 1, limit=10)
        )
        self.assert_catches(
            rules.pruned_is_counted, "1 acknowledged jobs are gone", lambda tale: tale.gone(1)
        )

    def test_an_unsound_file(self) -> None:
        self.assert_catches(
            rules.the_file_is_sound, "damage", lambda tale: tale.change(broken=("damage in page 7",))
        )

    # --- leases and settlements --------------------------------------------------------------------

    def test_settled_twice(self) -> None:
        self.assert_catches(
            rules.a_lease_is_settled_once,
            "job 1 attempt 1 was settled 2 times: complete by 1, fail by 2",
            lambda tale: tale.settle(1, "fail", by=2),
        )
        self.assert_catches(
            rules.a_lease_is_settled_once, "job 3", lambda tale: tale.settle(3, "release", by=2)
        )
        self.assert_passes(lambda tale: tale.settle(1, "fail", by=2, accepted=False))
        self.assert_passes(lambda tale: tale.settle(1, "fail", by=2, outcome=UNKNOWN))

    def test_two_live_leases(self) -> None:
        def taken_away(tale: Tale) -> None:
            tale.enqueue(6)
            tale.claim(6, by=2)
            tale.claim(6, attempt=2, by=3)
            tale.tell("reap", 0, by=2)
            tale.stored(6, "cancelled", 2)

        def after_the_lease(tale: Tale) -> None:
            tale.enqueue(6)
            tale.claim(6, by=2)
            tale.clock += LEASE * 1_000
            tale.claim(6, attempt=2, by=3)
            tale.tell("reap", 0, by=2)
            tale.stored(6, "cancelled", 2)

        def renewed(tale: Tale) -> None:
            tale.enqueue(6)
            tale.claim(6, by=2)
            tale.clock += LEASE * 900
            tale.tell("renew", True, by=2, worker=2, lease=LEASE)
            tale.clock += LEASE * 500
            tale.claim(6, attempt=2, by=3)
            tale.tell("reap", 0, by=2)
            tale.stored(6, "cancelled", 2)

        def after_signing_off(tale: Tale) -> None:
            tale.enqueue(6)
            tale.claim(6, by=2)
            tale.tell("sign_off", by=2, worker=2)
            tale.claim(6, attempt=2, by=3)
            tale.stored(6, "cancelled", 2)

        pattern = "job 6 attempt 2 was given to actor 3 while actor 2 held attempt 1"
        self.assert_catches(rules.a_lease_has_one_owner, pattern, taken_away)
        self.assert_catches(rules.a_lease_has_one_owner, pattern, renewed)
        self.assert_passes(after_the_lease)
        self.assert_passes(after_signing_off)

    def test_one_lease_given_to_two(self) -> None:
        def twist(tale: Tale) -> None:
            tale.enqueue(6)
            tale.claim(6, by=1)
            tale.claim(6, by=2)
            tale.stored(6, "cancelled")

        self.assert_catches(rules.a_lease_has_one_owner, "job 6 attempt 1 was given to 2", twist)

    def test_a_lease_that_ends_early(self) -> None:
        def early(tale: Tale) -> None:
            tale.enqueue(6)
            tale.claim(6, by=2)
            tale.settle(6, by=2, accepted=False)
            tale.stored(6, "cancelled")

        def late(tale: Tale) -> None:
            tale.enqueue(6)
            tale.claim(6, by=2)
            tale.clock += LEASE * 1_000
            tale.settle(6, by=2, accepted=False)
            tale.stored(6, "cancelled")

        def asked_to_stop(tale: Tale) -> None:
            tale.enqueue(6)
            tale.claim(6, by=2)
            tale.tell("cancel", "running", job=6, by=3)
            tale.settle_in(6, by=2, accepted=False)
            tale.stored(6, "cancelled")

        self.assert_catches(rules.no_lease_ends_early, "job 6 attempt 1: actor 2 was refused", early)
        self.assert_passes(late)
        self.assert_passes(asked_to_stop)

    def test_an_attempt_that_falls(self) -> None:
        def twist(tale: Tale) -> None:
            tale.claim(2, attempt=7, by=2, at=(500, 505))
            tale.stored(2, attempt=7)

        self.assert_catches(rules.attempts_rise, "job 2: attempt [123] was claimed after attempt 7", twist)

    def test_a_zombie_that_is_heard(self) -> None:
        self.assert_catches(
            rules.the_late_are_refused,
            "job 2: snooze of attempt 2 was accepted after",
            lambda tale: tale.settle(2, "snooze", attempt=2),
        )
        self.assert_passes(lambda tale: tale.settle(2, "snooze", attempt=2, accepted=False, by=9))

    def test_an_end_that_does_not_stand(self) -> None:
        for twist in (
            lambda tale: tale.stored(1, "failed"),
            lambda tale: tale.stored(1, "completed", 2),
        ):
            self.assert_catches(rules.an_end_stands, "job 1 attempt 1 was accepted as completed", twist)

    def test_completed_by_nobody(self) -> None:
        self.assert_catches(
            rules.completed_was_claimed_and_asked_for,
            "job 4 is completed at attempt 1, and nobody",
            lambda tale: tale.stored(4),
        )

    def test_cancelled_and_claimed(self) -> None:
        def retried(tale: Tale) -> None:
            tale.tell("retry", job=4)
            tale.claim(4, by=2)
            tale.stored(4, "cancelled")

        self.assert_catches(
            rules.cancelled_is_not_claimed, "job 4 was claimed after", lambda tale: tale.claim(4, by=2)
        )
        self.assert_passes(retried)

    def test_claimed_from_a_paused_queue(self) -> None:
        def paused(tale: Tale) -> None:
            tale.tell("pause", queue="default")
            tale.enqueue(6)
            tale.claim(6, by=2)
            tale.settle(6, by=2)
            tale.stored(6)

        def resumed(tale: Tale) -> None:
            tale.tell("pause", queue="default")
            tale.enqueue(6)
            tale.tell("resume", queue="default")
            tale.claim(6, by=2)
            tale.settle(6, by=2)
            tale.stored(6)

        def perhaps_resumed(tale: Tale) -> None:
            tale.tell("resume", queue="default", by=3, outcome=UNKNOWN)
            paused(tale)

        rule = rules.nothing_is_claimed_from_a_paused_queue
        self.assert_catches(rule, "job 6 was claimed while default", paused)
        self.assert_passes(resumed)
        self.assert_passes(perhaps_resumed)

    # --- effects -----------------------------------------------------------------------------------

    def test_effects_that_are_not_there_once(self) -> None:
        for effects, pattern in (
            ((), "job 3 .* its effect is there 0 times"),
            (((3, 1), (3, 1)), "job 3 .* its effect is there 2 times"),
            (((3, 2),), "job 3 completed at attempt 1, and its effect is of 2"),
            (((3, 1), (1, 1)), "job 1 .* its effect is there 1 times"),
            (((3, 1), (9, 1), (9, 2)), "job 9 is gone, and its effect is there 2 times"),
        ):
            self.assert_catches(
                rules.effects_are_there_once,
                pattern,
                lambda tale, effects=effects: tale.change(effects=effects),  # type: ignore[misc]
            )

    def test_an_effect_of_what_did_not_complete(self) -> None:
        self.assert_catches(
            rules.effects_are_there_once,
            "job 3 .* is failed, and its effect is there 1 times",
            lambda tale: tale.stored(3, "failed", task=EFFECT),
        )

    def test_a_child_without_its_effect(self) -> None:
        self.assert_catches(
            rules.effects_have_their_child, "the effect of token 3 is there", lambda tale: tale.gone(5)
        )
        self.assert_catches(
            rules.effects_have_their_child,
            "job token 1/child is there",
            lambda tale: tale.stored(9, token="token 1/child"),
        )

    def test_begun_twice(self) -> None:
        def twice(tale: Tale) -> None:
            tale.tell("began", lease=(1, 1))
            tale.tell("began", lease=(1, 2), by=2)

        def given_back(tale: Tale) -> None:
            tale.tell("began", lease=(2, 1))
            tale.tell("began", lease=(2, 2), by=2)

        self.assert_catches(rules.once_is_at_most_once, "job 1 .* began 2 times", twice)
        self.assert_passes(given_back)


class TestOrder(unittest.TestCase):
    def tale(self) -> Tale:
        """Jobs 1 to 3 are ready, and worker 1 is there."""
        tale = Tale()
        tale.sign_on(1)
        tale.enqueue(1, 2, 3)
        return tale

    def overtaken(self, tale: Tale) -> list[str]:
        return list(order.nothing_is_overtaken(tale.evidence()))

    def test_a_better_job_that_was_ready_throughout_is_overtaken(self) -> None:
        for better in ({"priority": 1}, {"run_at": -1}, {}):
            tale = self.tale()
            tale.claim(2)
            tale.claim(1, **better)
            self.assertRegex("".join(self.overtaken(tale)), r"^job 1 .* while actor 1 got job 2")

    def test_in_order_it_is_not(self) -> None:
        tale = self.tale()
        tale.claim(1, 2)
        tale.claim(3)
        self.assertEqual(self.overtaken(tale), [])

    def test_a_worse_one_does_not_matter(self) -> None:
        tale = self.tale()
        tale.claim(2, priority=5)
        tale.claim(1, priority=4)
        self.assertEqual(self.overtaken(tale), [])

    def test_what_overlaps_may_have_been_either(self) -> None:
        tale = self.tale()
        tale.claim(2, at=(2_000, 2_010))
        tale.claim(1, at=(2_005, 2_020))
        self.assertEqual(self.overtaken(tale), [])

    def test_what_was_enqueued_meanwhile_may_have_come_too_late(self) -> None:
        tale = self.tale()
        tale.claim(2, at=(2_000, 2_010))
        tale.enqueue(4, at=(1_990, 2_001))
        tale.claim(4, priority=9, at=(3_000, 3_010))
        self.assertEqual(self.overtaken(tale), [])

    def test_what_is_not_due_is_not_overtaken(self) -> None:
        tale = self.tale()
        tale.claim(2)
        tale.claim(1, priority=1, run_at=2 * 10**9)
        self.assertEqual(self.overtaken(tale), [])

    def test_what_was_given_back_stands_in_line_again(self) -> None:
        for kind in ("release", "again", "snooze"):
            tale = self.tale()
            tale.claim(1)
            tale.settle(1, kind)
            tale.claim(2)
            tale.claim(1, attempt=2)
            self.assertRegex("".join(self.overtaken(tale)), "^job 1")

    def test_nobody_knows_when_what_was_reaped_stood_in_line_again(self) -> None:
        tale = self.tale()
        tale.claim(1)
        tale.claim(2)
        tale.claim(1, attempt=2)
        self.assertEqual(self.overtaken(tale), [])

    def test_what_a_worker_can_not_run_it_may_pass(self) -> None:
        for known, count in ((["other"], 0), ([EFFECT], 1)):
            tale = self.tale()
            tale.claim(2, known=known)
            tale.claim(1, task=EFFECT)
            self.assertEqual(len(self.overtaken(tale)), count)

    def test_a_claim_that_finds_too_little(self) -> None:
        def paused_before(tale: Tale) -> None:
            tale.tell("pause", queue="default")
            tale.tell("resume", queue="default")

        def found(twist: Twist, put_aside: int = 0) -> list[str]:
            tale = self.tale()
            twist(tale)
            tale.claim(1, 2, wanted=3, put_aside=put_aside)
            tale.claim(3)
            return list(order.nothing_ready_is_passed_over(tale.evidence()))

        self.assertRegex("".join(found(lambda tale: None)), "^job 3 was ready .* while actor 1 found no more")
        self.assertEqual(found(lambda tale: None, put_aside=1), [])
        self.assertEqual(found(lambda tale: tale.tell("pause", queue="default")), [])
        self.assertEqual(found(lambda tale: tale.tell("pause", queue="default", outcome=UNKNOWN, by=7)), [])
        self.assertEqual(len(found(paused_before)), 1)


class TestGraphs(RuleCase):
    good = staticmethod(good_graph)

    def test_a_good_graph_breaks_no_rule(self) -> None:
        self.assert_passes(lambda tale: None)

    def test_half_a_graph(self) -> None:
        def half(tale: Tale, outcome: str = UNKNOWN) -> None:
            tale.graph(Node(16), Node(17, (16,)), outcome=outcome)
            tale.stored(16, "cancelled", 0)

        def useless(tale: Tale) -> None:
            tale.graph(Node(16), Node(17, (16,), runs_on="failure"), outcome=UNKNOWN)
            tale.stored(16, "cancelled", 0)

        rule = graphs.graphs_are_whole
        self.assert_catches(rule, r"token 16 1 jobs are stored, and \['token 17'\] are not", half)
        self.assert_catches(rule, r"token 10 3 jobs .* \['token 11'\] are not", lambda tale: tale.gone(11))
        self.assert_catches(rule, "refused a graph, and token 16", lambda tale: half(tale, REFUSED))
        self.assert_passes(useless)
        self.assert_passes(lambda tale: tale.graph(Node(16), Node(17, (16,)), outcome=UNKNOWN))

    def test_other_edges_than_were_asked_for(self) -> None:
        def change(tale: Tale, old: int, **values: object) -> None:
            edges = list(tale.remains.edges)
            edges[old] = edges[old]._replace(**values)  # type: ignore[arg-type]
            tale.change(edges=tuple(edges))

        rule = graphs.edges_are_as_asked_for
        self.assert_catches(rule, "job 11 was to", lambda tale: change(tale, 0, runs_on="end"))
        self.assert_catches(rule, "job 11 was to", lambda tale: change(tale, 0, passes=False))
        self.assert_catches(rule, "job 12 was to", lambda tale: change(tale, 1, parent=11))
        self.assert_catches(rule, "job 13 was to", lambda tale: change(tale, 2, child=9))

    def test_claimed_before_its_parent_ended(self) -> None:
        def before(tale: Tale, runs_on: str) -> None:
            tale.graph(Node(16), Node(17, (16,), runs_on=runs_on))
            tale.claim(17, by=2)
            tale.claim(16, by=2)
            tale.settle(16, "fail" if runs_on == "failure" else "complete", by=2)

        rule = graphs.children_wait_their_turn
        for runs_on in ("success", "failure", "end"):
            self.assert_catches(
                rule,
                "job 17 was claimed by actor 2, and its parent 16 had not ended",
                lambda tale, runs_on=runs_on: before(tale, runs_on),  # type: ignore[misc]
            )

    def test_claimed_though_its_parent_ended_otherwise(self) -> None:
        def otherwise(tale: Tale, runs_on: str, kind: str, retried: str = "") -> None:
            tale.graph(Node(16), Node(17, (16,), runs_on=runs_on))
            tale.claim(16, by=2)
            tale.settle(16, kind, by=2)
            if retried:
                tale.tell("retry", job=int(retried))
            tale.claim(17, by=2)

        def found(*told: str) -> list[str]:
            tale = good_graph()
            otherwise(tale, *told)
            return list(graphs.children_wait_their_turn(tale.evidence()))

        self.assertRegex("".join(found("success", "fail")), "job 17 .* 16 had not completed")
        self.assertRegex("".join(found("success", "fail", "16")), "job 17 .* 16 had not completed")
        self.assertRegex("".join(found("failure", "complete")), "job 17 .* 16 had not failed")
        self.assertEqual(found("success", "fail", "17"), [])
        self.assertEqual(found("success", "complete") + found("failure", "fail") + found("end", "cancel"), [])

    def test_claimed_before_a_parent_that_was_retried_ended_again(self) -> None:
        def twist(tale: Tale, is_other_alive: bool = True) -> None:
            tale.graph(Node(16), Node(17), Node(18, (16, 17), runs_on="end"))
            if not is_other_alive:
                tale.claim(17, by=2)
            tale.claim(16, by=2)
            tale.settle(16, "fail", by=2)
            tale.tell("retry", job=16)
            if is_other_alive:
                tale.claim(17, by=2)
            tale.claim(18, by=2)
            tale.claim(16, attempt=2, by=2)

        rule = graphs.children_wait_their_turn
        self.assert_catches(rule, "job 18 .* 16 had not ended", twist)
        tale = good_graph()
        twist(tale, is_other_alive=False)
        self.assertEqual(list(rule(tale.evidence())), [], "it may have been its turn before")

    def test_a_parent_may_end_without_a_word(self) -> None:
        def crashed(tale: Tale) -> None:
            tale.sign_on(8)
            tale.graph(Node(16, max_crashes=1), Node(17, (16,), runs_on="failure"))
            tale.claim(16, by=8)
            tale.kill(8)
            tale.claim(17, by=2)
            tale.settle(17, by=2)
            tale.stored(16, "failed", reason="crashed", max_crashes=1)
            tale.stored(17)

        def cascaded(tale: Tale) -> None:
            tale.graph(Node(16), Node(17, (16,)), Node(18, (17,), runs_on="end"))
            tale.tell("cancel", "cancelled", job=16)
            tale.claim(18, by=2)
            tale.settle(18, by=2)
            tale.stored(16, "cancelled", 0, reason="cancelled")
            tale.stored(17, "cancelled", 0, reason="parent")
            tale.stored(18)

        self.assert_passes(crashed)
        self.assert_passes(cascaded)

    def test_results_of_others(self) -> None:
        def handed(tale: Tale, *received: object) -> None:
            tale.claim(11, attempt=2, by=2, received=received)

        def called_with(tale: Tale, *received: object) -> None:
            tale.tell("given", by=2, lease=(13, 1), value=received)

        rule = graphs.children_get_the_results_of_their_parents
        for twist, pattern in (
            (lambda tale: handed(tale, False, ["other"]), "job 11 was handed other as the .* 10"),
            (lambda tale: handed(tale, False, [None]), "job 11 was handed None as the .* 10"),
            (lambda tale: handed(tale, True, []), "job 11 was handed 0 results of 1 parents"),
            (lambda tale: called_with(tale, True, [None, "ten"]), "job 13 was called with (None|ten) as"),
            (lambda tale: called_with(tale, False, ["ten", None]), "job 13 takes one result, and has 2"),
            (lambda tale: tale.stored(10, result="changed"), "job 1[13] was (handed|called with) ten as"),
        ):
            self.assert_catches(rule, pattern, twist)

    def test_a_parent_that_was_retried_may_have_had_no_result_yet(self) -> None:
        def twist(tale: Tale) -> None:
            tale.tell("retry", job=11)
            tale.claim(11, attempt=2, by=2, received=(False, ["ten"]))
            tale.settle(11, attempt=2, by=2)
            tale.stored(11, "completed", 2, task=GATHER, result="eleven")

        self.assert_passes(twist)

    def test_callbacks(self) -> None:
        rule = graphs.callbacks_run_as_the_parent_ended
        for twist, pattern in (
            (lambda tale: tale.stored(12), "job 12 ran on the failure of job 10, which is completed"),
            (lambda tale: tale.stored(10, "failed"), "job 12 was cancelled .* as it wants|job 11 ran on the"),
            (lambda tale: tale.stored(11, "cancelled", 0, reason="parent"), "job 11 was cancelled with"),
            (lambda tale: tale.stored(13, "cancelled", 0, reason="parent"), "job 13 was cancelled with"),
        ):
            self.assert_catches(rule, pattern, twist)

    def test_ends_without_a_cause(self) -> None:
        for state, attempt, reason in (
            ("failed", 1, "error"),
            ("failed", 1, "rejected"),
            ("failed", 2, "crashed"),
            ("failed", 1, "lost"),
            ("cancelled", 0, "cancelled"),
            ("cancelled", 0, "expired"),
            ("cancelled", 0, "replaced"),
            ("cancelled", 0, "parent"),
            ("cancelled", 0, "unheard-of"),
        ):
            self.assert_catches(
                graphs.ends_have_a_cause,
                rf"job 1 is {state} \({reason}\), and nothing led to it",
                lambda tale, told=(state, attempt, reason): tale.stored(  # type: ignore[misc]
                    1, told[0], told[1], reason=told[2]
                ),
            )

    def test_ends_with_a_cause(self) -> None:
        def in_a_tree(tale: Tale) -> None:
            tale.graph(Node(16), Node(17, (16,)))
            tale.tell("cancel_tree", 2, job=16, outcome=UNKNOWN, by=8)
            tale.stored(16, "cancelled", 0, reason="cancelled")
            tale.stored(17, "cancelled", 0, reason="cancelled")

        def crashed(tale: Tale) -> None:
            tale.stored(2, "failed", 3, reason="crashed", max_crashes=3)

        def expired(tale: Tale) -> None:
            tale.stored(4, "cancelled", 0, reason="expired", expires_at=7)

        self.assert_passes(in_a_tree)
        for twist in (crashed, expired):
            tale = good_graph()
            twist(tale)
            self.assertEqual(list(graphs.ends_have_a_cause(tale.evidence())), [])


class TestShares(RuleCase):
    good = staticmethod(good_firings)

    def test_good_firings_break_no_rule(self) -> None:
        self.assert_passes(lambda tale: None)

    # --- unique keys -------------------------------------------------------------------------------

    def test_two_with_one_key(self) -> None:
        def twist(tale: Tale, retried: int = 0, outcome: str = OK, on_duplicate: str = "return") -> None:
            tale.graph(Node(26, key="k", on_duplicate=on_duplicate))
            tale.graph(Node(27, key="k", on_duplicate=on_duplicate))
            if retried:
                tale.tell("retry", job=retried, outcome=outcome, by=3)
            tale.claim(26, by=2)
            tale.claim(27, by=2)

        def found(*told: Any) -> list[str]:
            tale = good_firings()
            twist(tale, *told)
            return list(shares.a_unique_key_is_held_by_one(tale.evidence()))

        pattern = "^job 27 has the unique key 'k', which job 26 had until later$"
        self.assertRegex("".join(found()), pattern)
        self.assertRegex("".join(found(0, OK, "replace")), pattern)
        self.assertRegex("".join(found(27)), pattern)
        self.assertRegex("".join(found(26)), "^job 26 has the unique key 'k', which job 27 had until later$")
        self.assertEqual(found(26, UNKNOWN), [], "it may have ended before")

    def test_what_can_be_replaced_has_its_key_only_while_it_waits(self) -> None:
        def found(on_duplicate: str, is_given_back: bool = False) -> list[str]:
            tale = good_firings()
            tale.graph(Node(26, key="k", on_duplicate=on_duplicate))
            tale.claim(26, by=2)
            if is_given_back:
                tale.settle(26, "release", by=2)
            tale.graph(Node(27, key="k", on_duplicate=on_duplicate))
            if is_given_back:
                tale.claim(26, attempt=2, by=2)
            else:
                tale.settle(26, by=2)
            tale.claim(27, by=2)
            return list(shares.a_unique_key_is_held_by_one(tale.evidence()))

        self.assertEqual(found("replace"), [])
        self.assertRegex("".join(found("return")), "^job 27 has the unique key")
        self.assertRegex("".join(found("replace", is_given_back=True)), "^job 27 has the unique key")

    def test_a_duplicate_of_what_is_over(self) -> None:
        def over(tale: Tale, **told: Any) -> None:
            tale.graph(Node(26, key="k"))
            tale.claim(26, by=2)
            tale.settle(26, by=2)
            tale.graph(Node(27, key="k", found=26), **told)

        def refused(tale: Tale) -> None:
            over(tale, by=3)
            event = tale.events.pop()
            tale.events.append(replace(event, outcome=REFUSED, got="job 26 has the unique key 'k' already"))

        def in_time(tale: Tale) -> None:
            tale.graph(Node(26, key="k"))
            tale.graph(Node(27, key="k", found=26))
            tale.claim(26, by=2)
            tale.settle(26, by=2)
            tale.stored(26, unique_key="k")

        rule = shares.a_duplicate_is_alive
        for twist in (over, refused):
            self.assert_catches(rule, "token 27 was told that job 26 has its key 'k', which had", twist)
        self.assert_passes(in_time)

    def test_a_duplicate_with_another_key(self) -> None:
        def twist(tale: Tale) -> None:
            tale.graph(Node(26, key="other"))
            tale.graph(Node(27, key="k", found=26))

        self.assert_catches(shares.a_duplicate_is_alive, "its key 'k', which has 'other'", twist)

    # --- limits ------------------------------------------------------------------------------------

    def test_more_than_the_limit_allows(self) -> None:
        def limited(tale: Tale) -> None:
            nodes = [Node(id, limit="narrow", max_running=2) for id in (26, 27, 28)]
            tale.graph(*nodes)

        def found(twist: Twist) -> list[str]:
            tale = good_firings()
            limited(tale)
            twist(tale)
            return list(shares.limits_hold(tale.evidence()))

        def one_after_the_other(tale: Tale) -> None:
            tale.claim(26, by=1)
            tale.claim(27, by=2)
            tale.claim(28, by=2)
            tale.tell("reap", 0, by=1)
            tale.tell("reap", 0, by=2)

        def one_ended(tale: Tale) -> None:
            tale.claim(26, by=1)
            tale.claim(27, by=2)
            tale.settle(26, by=1)
            tale.claim(28, by=2)

        def one_died(tale: Tale) -> None:
            tale.sign_on(8)
            tale.claim(26, by=8)
            tale.claim(27, by=2)
            tale.kill(8)
            tale.claim(28, by=2)

        def one_lost_its_lease(tale: Tale) -> None:
            tale.claim(26, 27, by=2)
            tale.clock += LEASE * 1_000
            tale.claim(28, by=1)
            tale.tell("reap", 0, by=2)

        self.assertRegex(
            "".join(found(one_after_the_other)), "^job 28 was claimed under 'narrow' while 26, 27"
        )
        self.assertRegex("".join(found(lambda tale: tale.claim(26, 27, 28, by=2))), "^job 28 .* 26, 27 ran")
        for twist in (one_ended, one_died, one_lost_its_lease):
            self.assertEqual(found(twist), [])

    # --- schedules ---------------------------------------------------------------------------------

    def test_two_jobs_of_a_firing(self) -> None:
        rule = shares.a_firing_makes_one_job
        for twist, pattern in (
            (
                lambda tale: tale.stored(24, "cancelled", 0, schedule="all", scheduled_for=400_000),
                "schedule all made 2 jobs for 400000",
            ),
            (lambda tale: tale.tell("fire", {"jobs": [23], "wall": 0}), "job 23 was made by 2 firings"),
            (lambda tale: tale.gone(23), "job 23 was made by a schedule, and is not there"),
        ):
            self.assert_catches(rule, pattern, twist)

    def test_fired_too_early(self) -> None:
        def early(tale: Tale, **values: int) -> None:
            tale.stored(23, "cancelled", 0, **{"schedule": "all", "scheduled_for": 600_000, **values})

        rule = shares.nothing_is_fired_before_its_time
        self.assert_catches(
            rule, "job 23 was made at 599999 for 600000", lambda tale: early(tale, created_at=599_999)
        )
        self.assert_catches(
            rule,
            "job 23 was made by 600001 for 800000",
            lambda tale: early(tale, created_at=800_000, scheduled_for=800_000),
        )

    def test_a_firing_that_is_left_out(self) -> None:
        def moved(tale: Tale) -> None:
            tale.stored(
                24, "cancelled", 0, token="tick", schedule="all", scheduled_for=700_000, created_at=700_000
            )

        rule = shares.no_firing_is_left_out
        self.assert_catches(rule, "between 200000 and 600000 schedule all", lambda tale: tale.gone(22))
        self.assert_catches(rule, "fired at 700000, which is no instant", moved)


class TestCounts(unittest.TestCase):
    def test_who_was_killed_in_the_middle_of_what(self) -> None:
        tale = good_tale()
        tale.claim(outcome=UNKNOWN, by=7)
        tale.tell("reap", outcome=UNKNOWN, by=2)
        self.assertEqual(struck(tale.evidence()), {"turn": 1})

    def test_what_was_tied(self) -> None:
        tale = good_graph()
        tale.graph(Node(26, key="k"), Node(27, key="k", found=26), Node(28, limit="narrow", max_running=1))
        tale.claim(28, by=2)
        tale.stored(21, "cancelled", 0, schedule="all", scheduled_for=1)
        expected = {"graphs": 2, "children": 2, "cascades": 1, "duplicates": 1, "limited": 1, "firings": 1}
        self.assertEqual(tied(tale.evidence()), expected)

    def test_zombies(self) -> None:
        tale = good_tale()
        tale.enqueue(6)
        tale.claim(6, by=2)
        tale.tell("stop", by=0, actor=2)
        tale.settle(6, by=2, accepted=False)
        self.assertEqual(late_settlements(tale.evidence()), {"refused": 1, "accepted": 0})
