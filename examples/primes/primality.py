"""Is a number prime? Knows nothing of queues."""

# Trial division of the largest number takes about 30 ms, short enough to answer nsqd's heartbeats in between.
LARGEST_NUMBER = 10**12


def parse_number(body):
    """The number a message's body spells in decimal; ValueError when it is not one that we judge."""
    number = int(body)
    if not 0 <= number <= LARGEST_NUMBER:
        raise ValueError(f"{number} is not between 0 and {LARGEST_NUMBER}")
    return number


def is_prime(number):
    """True when exactly two whole numbers divide `number`: 1 and itself."""
    if number < 4:
        return number in (2, 3)
    if number % 2 == 0:
        return False
    # If number = a * b, the smaller of the two is at most the square root.
    divisor = 3
    while divisor * divisor <= number:
        if number % divisor == 0:
            return False
        divisor += 2
    return True
