"""New ids, tokens and secrets."""

from uuid import RFC_4122, UUID

from tests.harness import START
from zchat.engine.entropy import SystemEntropy
from zchat.model import first_id_at

MILLISECOND = 1000


def test_ids_are_uuids_of_their_time() -> None:
    entropy = SystemEntropy()

    id = UUID(entropy.id(START))

    assert (id.version, id.variant) == (7, RFC_4122)
    assert id.int >> 80 == START // MILLISECOND


def test_each_is_larger_than_the_last() -> None:
    entropy = SystemEntropy()
    ids = [entropy.id(START + step * 100) for step in range(2_000)]
    ids += [entropy.id(START - 10**9) for _ in range(10_000)]
    ids += [entropy.id(START + 10**9)]

    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert all(UUID(id).version == 7 for id in ids)


def test_a_moment_has_a_first_id() -> None:
    entropy = SystemEntropy()

    assert first_id_at(START) <= entropy.id(START)
    assert entropy.id(START) < first_id_at(START + 2 * MILLISECOND)
    assert UUID(first_id_at(START)).version == 7


def test_tokens() -> None:
    entropy = SystemEntropy()
    tokens = {entropy.token() for _ in range(100)}

    assert len(tokens) == 100
    assert {UUID(token).version for token in tokens} == {4}


def test_secrets_are_given_out_once() -> None:
    entropy = SystemEntropy()
    secrets = [entropy.secret(size) for size in (12, 32) * 1000]

    assert [len(secret) for secret in secrets[:3]] == [12, 32, 12]
    assert len(set(secrets)) == len(secrets)
    assert len(entropy.secret(100_000)) == 100_000


def test_words_can_be_read_aloud() -> None:
    entropy = SystemEntropy()
    words = {entropy.word() for _ in range(500)}

    assert {len(word) for word in words} == {6}
    assert len(words) == 500
    assert not set("01lio") & set("".join(words))


def test_ids_follow_a_clock_that_was_set_back_far() -> None:
    entropy = SystemEntropy()
    day = 86_400 * 1_000_000
    entropy.id(START + day)

    back = entropy.id(START)

    assert back < entropy.id(START) < entropy.id(START + day)
