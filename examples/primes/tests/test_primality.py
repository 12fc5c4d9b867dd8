"""The judgement itself, against a sieve that finds primes in another way."""

import pytest

from primality import LARGEST_NUMBER, is_prime, parse_number


def primes_below(limit):
    is_candidate = [False, False] + [True] * (limit - 2)
    for number in range(2, limit):
        if is_candidate[number]:
            for multiple in range(2 * number, limit, number):
                is_candidate[multiple] = False
    return {number for number in range(limit) if is_candidate[number]}


def test_the_judgement_is_that_of_a_sieve():
    assert {number for number in range(5000) if is_prime(number)} == primes_below(5000)


def test_large_numbers_are_judged_too():
    assert is_prime(999_999_999_989)
    assert not is_prime(999_983 * 999_979)


@pytest.mark.parametrize("body, number", [(b"0", 0), (b"97", 97), (b" 97\n", 97), (b"1000000000000", 10**12)])
def test_a_body_in_decimal_is_a_number(body, number):
    assert parse_number(body) == number


@pytest.mark.parametrize("body", [b"", b"x", b"-1", b"1.5", b"0x10", b"9" * 5000, str(LARGEST_NUMBER + 1).encode()])
def test_other_bodies_are_refused(body):
    with pytest.raises(ValueError):
        parse_number(body)
