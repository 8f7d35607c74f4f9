"""What the log of decisions proves of a policy."""

from typing import Any

from tools.least_privilege.coverage import PolicyPart, Proof, Statement

WRITE = {
    "Sid": "Write",
    "Effect": "Allow",
    "Action": ["s3:PutObject", "s3:AbortMultipartUpload"],
    "Resource": ["a/*", "b/*"],
}


def statement(document: dict[str, Any], role: str = "worker") -> Statement:
    return Statement(role=role, sid=document["Sid"], document=document)


def line(action: str, *grants: tuple[str, list[str]], **more: Any) -> dict[str, Any]:
    found = [{"sid": sid, "resources": patterns, "values": []} for sid, patterns in grants]
    fields = {"allowed": True, "resource_policy": False, "resource": "thing", "role": "worker"}
    return {**fields, "action": action, "grants": found, **more}


def unproved(*lines: dict[str, Any]) -> list[str]:
    return [part.value for part in Proof.of([statement(WRITE)], lines).unproved()]


def test_a_call_proves_its_action_and_its_resource() -> None:
    assert unproved(line("s3:PutObject", ("Write", ["a/*"]))) == ["s3:AbortMultipartUpload", "b/*"]


def test_everything_is_proved_by_enough_calls() -> None:
    calls = (
        line("s3:PutObject", ("Write", ["a/*"])),
        line("s3:AbortMultipartUpload", ("Write", ["b/*"])),
    )
    assert unproved(*calls) == []


def test_a_call_that_two_statements_allow_proves_neither() -> None:
    assert len(unproved(line("s3:PutObject", ("Write", ["a/*"]), ("Other", ["*"])))) == 4


def test_a_call_that_two_patterns_allow_proves_the_action_only() -> None:
    two = line("s3:PutObject", ("Write", ["a/*", "b/*"]))
    assert unproved(two) == ["s3:AbortMultipartUpload", "a/*", "b/*"]


def test_neither_refused_calls_nor_other_roles_nor_open_resources_prove_anything() -> None:
    for change in ({"allowed": False}, {"role": "other"}, {"resource_policy": True}):
        assert len(unproved(line("s3:PutObject", ("Write", ["a/*"]), **change))) == 4


def test_alternatives_of_a_condition_are_proved_one_by_one() -> None:
    condition = {"StringLike": {"s3:prefix": ["a/*", "b/*"]}, "StringEquals": {"x": "only"}}
    document = {
        "Sid": "List", "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "bucket",
        "Condition": condition,
    }  # fmt: skip
    call = line("s3:ListBucket", ("List", ["bucket"]))
    call["grants"][0]["values"] = ["a/*", "only"]
    proof = Proof.of([statement(document)], [call])
    assert proof.unproved() == [PolicyPart("worker", "List", "s3:prefix", "b/*")]


def test_what_only_aws_exercises_need_not_be_proved_but_must_not_be_needed() -> None:
    document = {**WRITE, "Sid": "WriteLog", "Action": "logs:PutLogEvents"}
    assert Proof.of([statement(document)], []).unproved() == []
    stale = Proof.of([statement(document)], [line("logs:PutLogEvents", ("WriteLog", ["a/*"]))])
    assert [part.value for part in stale.stale()] == ["logs:PutLogEvents", "a/*"]


def test_the_use_of_a_key_is_proved_like_any_other_grant() -> None:
    document = {**WRITE, "Action": ["kms:Decrypt", "kms:GenerateDataKey"]}
    assert len(Proof.of([statement(document)], []).unproved()) == 4
