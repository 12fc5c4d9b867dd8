import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]

# Its way of starting programs and waiting for what they say is the one needed here.
sys.path.insert(0, str(PROJECT / "examples" / "primes" / "tests"))
