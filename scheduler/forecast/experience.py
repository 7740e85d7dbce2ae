"""What becomes of dials and emails: as an organisation has seen it lately, leaning on assumptions where it saw little.

Pure. All assumptions of a forecast that are not in scheduler/targets.py stand here, each with its reason.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction

from survey.models import Channel, Outcome

# How far back experience is looked for; and as how many dials or emails the assumptions count beside it.
EXPERIENCE_SINCE = timedelta(days=90)
ASSUMED_WEIGHT = 50
# Of a hundred dials. Taken to be: three in ten picked up by a person, and four in ten of these answer to the end. Over
# three dials that comes to one in four who answer, and with calls superseded and dead numbers to about the one in five
# that targets.py starts from. No figure holds for every contact centre: experience takes over as it grows.
ASSUMED_DIALS: Mapping[Outcome, int] = {
    Outcome.COMPLETED: 11,
    Outcome.HUNG_UP: 12,
    Outcome.NO_INPUT: 2,
    Outcome.LATER: 1,
    Outcome.OPTED_OUT: 1,
    Outcome.WRONG_PERSON: 1,
    Outcome.NO_ANSWER: 38,
    Outcome.BUSY: 4,
    Outcome.VOICEMAIL: 27,
    Outcome.FAILED: 2,
    Outcome.DEAD: 1,
}
# Of a hundred emails. Taken to be: one in ten is answered, and a few come back.
ASSUMED_MAILS: Mapping[Outcome, int] = {
    Outcome.COMPLETED: 10,
    Outcome.SILENCE: 86,
    Outcome.BOUNCED: 3,
    Outcome.OPTED_OUT: 1,
}
# Minutes paid for a dial that ended so. The three core questions take a minute and a half, and calls are paid by the
# minute begun; whoever picks up, a machine too, costs one. A dial that nobody picks up costs none.
ASSUMED_MINUTES: Mapping[Outcome, int] = {
    Outcome.COMPLETED: 2,
    **dict.fromkeys((Outcome.HUNG_UP, Outcome.NO_INPUT, Outcome.LATER, Outcome.OPTED_OUT), 1),
    **dict.fromkeys((Outcome.WRONG_PERSON, Outcome.VOICEMAIL), 1),
}
ASSUMED: Mapping[Channel, Mapping[Outcome, int]] = {Channel.IVR: ASSUMED_DIALS, Channel.WEB: ASSUMED_MAILS}
HUNDRED = 100


@dataclass(frozen=True)
class Experience:
    """What came of attempts lately, by channel and outcome; and the minutes paid for dials, by outcome."""

    ended: Mapping[tuple[Channel, Outcome], int] = field(default_factory=dict)
    minutes: Mapping[Outcome, int] = field(default_factory=dict)

    def seen(self, channel: Channel) -> int:
        """How many attempts over the channel this rests on."""
        return sum(count for (over, _), count in self.ended.items() if over is channel)

    def share(self, channel: Channel, outcome: Outcome) -> Fraction:
        """How many of the attempts over the channel end so."""
        weights = self._weights(channel)
        return Fraction(weights.get(outcome, 0), sum(weights.values()))

    def minutes_of(self, outcome: Outcome) -> Fraction:
        """Minutes paid for a dial that ended so, on average, to a hundredth of one."""
        seen = self.ended.get((Channel.IVR, outcome), 0)
        paid = self.minutes.get(outcome, 0) + ASSUMED_MINUTES.get(outcome, 0) * ASSUMED_WEIGHT
        return Fraction(round(Fraction(HUNDRED * paid, seen + ASSUMED_WEIGHT)), HUNDRED)

    def picked(self, channel: Channel, chance: random.Random) -> Outcome:
        """How one attempt ends, by chance."""
        weights = self._weights(channel)
        left = chance.randrange(sum(weights.values()))
        for outcome, weight in weights.items():
            left -= weight
            if left < 0:
                return outcome
        raise AssertionError("the weights add up to their sum")

    def _weights(self, channel: Channel) -> Mapping[Outcome, int]:
        """Whole numbers in proportion, in a fixed order: what was seen and, as ASSUMED_WEIGHT more, what is assumed."""
        assumed, scale = ASSUMED[channel], HUNDRED // ASSUMED_WEIGHT
        return {
            outcome: scale * self.ended.get((channel, outcome), 0) + assumed.get(outcome, 0)
            for outcome in Outcome
            if (channel, outcome) in self.ended or outcome in assumed
        }
