"""What a recording of this network sounds like: a tone, as long as what was said, in the format Twilio keeps.

Source: Twilio's recordings are fetched as WAV: mono, 8,000 samples a second, 16 bits each.
"""

import array
import io
import sys
import wave

RATE = 8_000
LOUDNESS = 8_000
SHORTEST_PERIOD, PERIODS = 10, 17  # in samples: from 800 to about 300 Hz


def samples_of(seconds: float) -> int:
    """Give how many samples last so long."""
    return round(seconds * RATE)


def wav(name: str, seconds: float) -> bytes:
    """Give a WAV of `seconds`; its pitch depends on `name` alone, so the same name always gives the same bytes."""
    count = samples_of(seconds)
    period = SHORTEST_PERIOD + sum(name.encode()) % PERIODS
    rising = [LOUDNESS * (2 * place - period) // period for place in range(period)]
    samples = array.array("h", (rising * (count // period + 1))[:count])
    if sys.byteorder == "big":
        samples.byteswap()
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return target.getvalue()
