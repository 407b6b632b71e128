"""The real gateway against its own description, by schemathesis.

Whatever fits the description, or nearly does, gets an answer that fits it
too: no status, type or field that is not described, and no fault.
"""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.program import Program, User

Case = schemathesis.Case[Any]
ENDLESS = "GET /events"
EXAMPLES = 12


@pytest.fixture(scope="module")
def flags() -> tuple[str, ...]:
    return ("--rate-limit", "off")


@pytest.fixture(scope="module")
def ann(program: Program) -> User:
    return program.user()


@pytest.fixture(scope="module")
def real(program: Program, ann: User) -> dict[str, str]:
    """Ids of what there is, by the names of the fields that take them."""
    chat = program.ask("POST", "/chats", {"name": "garden"}, ann.bearer).json
    sent = program.ask(
        "POST", "/send", {"message": "hi", **chat}, ann.bearer
    ).json
    file = program.ask(
        "POST", f"/files?chat_id={chat['chat_id']}&name=a", b"abc", ann.bearer
    ).json
    bob = program.user()
    return {
        "chat_id": chat["chat_id"],
        "message_id": sent["id"],
        "comment_on": sent["id"],
        "file_id": file["file_id"],
        "other_user_id": bob.id,
        "reported_user_id": bob.id,
        "id": sent["id"],
    }


@pytest.fixture(scope="module")
def schema(program: Program) -> Any:
    return schemathesis.openapi.from_url(
        f"http://127.0.0.1:{program.port}/openapi.json"
    )


def use(real: dict[str, str], case: Case) -> None:
    """Put what there is where an id was made up."""
    for values in (case.path_parameters, case.query, case.body):
        if isinstance(values, dict):
            values.update(
                (name, id) for name, id in real.items() if name in values
            )


def test_every_answer_is_as_it_is_described(
    schema: Any, ann: User, real: dict[str, str]
) -> None:
    """Rules beyond the description answer 400, and name the field."""
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.label == ENDLESS:
            continue

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(), is_real=st.booleans())
        def holds(case: Case, is_real: bool) -> None:
            if is_real:
                use(real, case)
            answer = case.call_and_validate(
                headers=ann.bearer,
                excluded_checks=[positive_data_acceptance],
            )
            mode = case.meta.generation.mode if case.meta else None
            if answer.status_code == 400 and mode is GenerationMode.POSITIVE:
                assert "field" in answer.json(), answer.text

        holds()
