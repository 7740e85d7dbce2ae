"""Rule 5: only at a decent hour, inside the allowed hours in every time zone the number may be in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers import geocoder

from scheduler import hours
from scheduler.explain import explain_deadline, explain_draw, explain_hours
from scheduler.hours import Window, next_allowed, next_span, place_of, verdict
from scheduler.sampling import number
from survey.errors import InputError

EVERY_DAY = tuple(range(7))

NEW_YORK = "+12125550101"
LONDON = "+442079460101"
# Many zones at once: a number that moves with its owner, and a mobile of a country with several.
ANYWHERE_IN_NORTH_AMERICA = "+15005550006"
AUSTRALIAN_MOBILE = "+61412345678"
SITE = "America/New_York"
ALWAYS = Window(time(0), time(23, 59), EVERY_DAY)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("moment", "allowed"),
    [
        ("2026-03-12T08:59:59-04:00", False),
        ("2026-03-12T09:00:00-04:00", True),
        ("2026-03-12T19:59:59-04:00", True),
        ("2026-03-12T20:00:00-04:00", False),
        ("2026-03-15T12:00:00-04:00", False),  # a Sunday
    ],
)
def test_the_campaigns_window_ends_before_its_last_minute_strikes(moment: str, allowed: bool) -> None:
    assert verdict(NEW_YORK, at(moment), Window(), SITE).allowed is allowed


@pytest.mark.parametrize(
    ("number_", "moment", "reason"),
    [
        (NEW_YORK, "2026-03-12T07:59:00-04:00", "07:59 in America/New_York is before US's 08:00"),
        (NEW_YORK, "2026-03-12T21:00:00-04:00", "21:00 in America/New_York is not before US's 21:00"),
        (LONDON, "2026-03-12T20:00:00+00:00", "20:00 in Europe/London is not before GB's 20:00"),
        ("+14165550101", "2026-03-14T18:00:00-04:00", "18:00 in America/Toronto is not before CA's 18:00"),
        ("+14165550101", "2026-03-14T09:30:00-04:00", "09:30 in America/Toronto is before CA's 10:00"),
        (NEW_YORK, "2026-07-03T12:00:00-04:00", "2026-07-03 is Independence Day (observed) in US"),
        (LONDON, "2026-12-25T12:00:00+00:00", "2026-12-25 is Christmas Day in GB"),
    ],
)
def test_countries_have_limits_of_their_own_whatever_the_campaign_says(number_: str, moment: str, reason: str) -> None:
    told = verdict(number_, at(moment), ALWAYS, SITE)
    assert not told.allowed
    assert reason in told.reasons


EIGHT_TO_NINE, EIGHT_TO_EIGHT, NINE_TO_EIGHT = ("08:00-21:00",), ("08:00-20:00",), ("09:00-20:00",)
TEN_TO_SIX, NINE_TO_FIVE = ("10:00-18:00",), ("09:00-17:00",)
FLORIDA, PARIS, SYDNEY, BERLIN = "+13055550123", "+33199000123", "+61255500123", "+493023125001"


@pytest.mark.parametrize(
    ("number_", "weekdays", "saturday", "sunday"),
    [
        (NEW_YORK, EIGHT_TO_NINE, EIGHT_TO_NINE, EIGHT_TO_NINE),
        (FLORIDA, EIGHT_TO_EIGHT, EIGHT_TO_EIGHT, EIGHT_TO_EIGHT),
        ("+14165550101", ("09:00-21:30",), TEN_TO_SIX, TEN_TO_SIX),
        (SYDNEY, ("09:00-20:30",), NINE_TO_FIVE, NINE_TO_FIVE),
        (PARIS, ("10:00-13:00", "14:00-20:00"), (), ()),
        (LONDON, NINE_TO_EIGHT, NINE_TO_EIGHT, NINE_TO_EIGHT),
        (BERLIN, NINE_TO_EIGHT, NINE_TO_EIGHT, NINE_TO_EIGHT),
        ("+390612345678", NINE_TO_EIGHT, NINE_TO_EIGHT, NINE_TO_EIGHT),
    ],
)
def test_the_hours_of_each_country(
    number_: str, weekdays: tuple[str, ...], saturday: tuple[str, ...], sunday: tuple[str, ...]
) -> None:
    """Under a campaign that would call at any hour of a week without holidays: what is left is the country's own."""
    (zone,) = place_of(number_, SITE).zones
    for day, expected in zip(range(16, 23), [weekdays] * 5 + [saturday, sunday], strict=True):  # Monday to Sunday
        midnight = datetime(2026, 11, day, tzinfo=ZoneInfo(zone))
        assert tuple(stretches(number_, midnight)) == expected, midnight.strftime("%A")
        for minutes in range(0, 24 * 60, 15):
            clock_time = f"{minutes // 60:02}:{minutes % 60:02}"
            inside = any(begins <= clock_time < ends for begins, ends in (one.split("-") for one in expected))
            assert verdict(number_, midnight + timedelta(minutes=minutes), ALWAYS, SITE).allowed is inside


def stretches(number_: str, midnight: datetime) -> Iterator[str]:
    """The allowed stretches of the local day that begins at `midnight`."""
    at, end = midnight, midnight + timedelta(days=1)
    while (span := next_span(number_, at, end, ALWAYS, SITE)) is not None:
        yield "-".join(f"{edge.astimezone(midnight.tzinfo):%H:%M}" for edge in span)
        at = span[1]


@pytest.mark.parametrize(
    ("number_", "moment", "reason"),
    [
        (FLORIDA, "2026-03-12T20:00:00-04:00", "20:00 in America/New_York is not before US-FL's 20:00"),
        (PARIS, "2026-03-12T13:00:00+01:00", "13:00 in Europe/Paris is in FR's midday break"),
        (PARIS, "2026-03-15T12:00:00+01:00", "Sunday (in Europe/Paris) is not one of FR's calling days"),
        (PARIS, "2026-05-14T12:00:00+02:00", "2026-05-14 is Ascension Day in FR"),
        (SYDNEY, "2026-03-15T17:00:00+11:00", "17:00 in Australia/Sydney is not before AU's 17:00"),
        (SYDNEY, "2026-12-25T12:00:00+11:00", "2026-12-25 is Christmas Day in AU"),
    ],
)
def test_where_the_law_says_so_no_campaign_can_allow_it(number_: str, moment: str, reason: str) -> None:
    any_time = replace(ALWAYS, on_holidays=True)
    assert verdict(number_, at(moment), any_time, SITE).reasons == [reason]
    found = next_allowed(number_, at(moment), at(moment) + timedelta(days=3), any_time, SITE)
    assert found is not None and found > at(moment)


def test_floridas_area_codes_are_those_that_the_numbering_plan_puts_there() -> None:
    there = {
        code
        for code in range(201, 1000)
        if (number_ := phonenumbers.parse(f"+1{code}2345678")) and phonenumbers.is_valid_number(number_)
        if geocoder.description_for_number(number_, "en").endswith(("Florida", ", FL"))
    }
    assert set(hours.FLORIDA) == there


def test_a_narrower_friday_and_no_sunday_are_seen_by_both_readings() -> None:
    """A campaign that stops at two on Fridays and rests on Sundays."""
    window = Window(weekdays=(0, 1, 2, 3, 4, 5), own=((4, time(10), time(14)),))
    friday = at("2026-03-13T08:00:00+00:00")
    spans = []
    moment = friday
    while (span := next_span(LONDON, moment, friday + timedelta(days=4), window, "UTC")) is not None:
        spans.append(tuple(edge.isoformat()[5:16] for edge in span))
        moment = span[1]
    assert spans == [("03-13T10:00", "03-13T14:00"), ("03-14T09:00", "03-14T20:00"), ("03-16T09:00", "03-16T20:00")]
    assert verdict(LONDON, at("2026-03-13T15:00:00+00:00"), window, "UTC").reasons == [
        "15:00 in Europe/London is not before the campaign's 14:00"
    ]
    assert verdict(LONDON, at("2026-03-15T12:00:00+00:00"), window, "UTC").reasons == [
        "Sunday (in Europe/London) is not one of the campaign's calling days"
    ]


def test_a_weekday_may_have_hours_of_its_own() -> None:
    window = Window(own=((5, time(11), time(12)),))
    saturday, friday = datetime(2026, 3, 7, tzinfo=UTC), datetime(2026, 3, 6, tzinfo=UTC)
    in_london = [hour for hour in range(24) if verdict(LONDON, saturday + timedelta(hours=hour), window, "UTC").allowed]
    assert in_london == [11]
    told = verdict(LONDON, saturday + timedelta(hours=13), window, "UTC").reasons
    assert told == ["13:00 in Europe/London is not before the campaign's 12:00"]
    assert verdict(LONDON, friday + timedelta(hours=13), window, "UTC").allowed
    span = next_span(LONDON, friday + timedelta(hours=21), saturday + timedelta(days=1), window, "UTC")
    assert span == (saturday + timedelta(hours=11), saturday + timedelta(hours=12))


def test_a_campaign_may_call_on_public_holidays_when_it_says_so() -> None:
    christmas = datetime(2026, 12, 25, 12, tzinfo=UTC)
    kept, ignored = Window(), Window(on_holidays=True)
    assert verdict(LONDON, christmas, kept, "UTC").reasons == ["2026-12-25 is Christmas Day in GB"]
    assert verdict(LONDON, christmas, ignored, "UTC").allowed
    assert next_allowed(LONDON, christmas, christmas + timedelta(hours=1), ignored, "UTC") == christmas
    assert next_allowed(LONDON, christmas, christmas + timedelta(hours=1), kept, "UTC") is None


def test_weekday_evenings_are_longer_in_canada() -> None:
    assert verdict("+14165550101", at("2026-03-12T21:29:00-04:00"), ALWAYS, SITE).allowed


def test_every_zone_must_agree() -> None:
    """09:00 in Sydney is 06:00 in Perth: an Australian mobile may be in either."""
    zones = place_of(AUSTRALIAN_MOBILE, SITE).zones
    assert {"Australia/Sydney", "Australia/Perth"} <= set(zones)
    told = verdict(AUSTRALIAN_MOBILE, at("2026-03-12T09:00:00+11:00"), Window(), SITE)
    assert not told.allowed
    assert any("Australia/Perth is before" in reason for reason in told.reasons)
    # The end in the east decides the evening, the beginning in the west the morning.
    midnight = at("2026-03-12T00:00:00+11:00")
    span = next_span(AUSTRALIAN_MOBILE, midnight, midnight + timedelta(days=1), Window(), SITE)
    assert span is not None
    for zone_edge in span:
        assert verdict(AUSTRALIAN_MOBILE, zone_edge, Window(), SITE).allowed is (zone_edge == span[0])


def test_a_number_of_no_known_place_is_taken_to_be_where_the_site_is() -> None:
    satellite = "+881612345678"
    place = place_of(satellite, "Asia/Dubai")
    assert place.zones == ("Asia/Dubai",)
    assert verdict(satellite, at("2026-03-12T09:00:00+04:00"), Window(), "Asia/Dubai").allowed
    assert not verdict(satellite, at("2026-03-12T09:00:00+00:00") + timedelta(hours=8), Window(), "Asia/Dubai").allowed


def test_the_next_moment_skips_nights_sundays_and_holidays() -> None:
    saturday_night = at("2026-07-04T21:00:00-04:00")
    found = next_allowed(NEW_YORK, saturday_night, saturday_night + timedelta(days=7), Window(), SITE)
    assert found == at("2026-07-06T09:00:00-04:00")
    # Thursday evening, then Friday 3 July (observed) and Saturday 4 July are holidays, Sunday is no calling day.
    thursday = at("2026-07-02T20:00:00-04:00")
    assert next_allowed(NEW_YORK, thursday, thursday + timedelta(days=7), Window(), SITE) == found


def test_there_is_no_moment_at_or_after_the_limit() -> None:
    evening, morning = at("2026-03-12T20:00:00-04:00"), at("2026-03-13T09:00:00-04:00")
    assert next_allowed(NEW_YORK, evening, morning, Window(), SITE) is None
    assert next_allowed(NEW_YORK, evening, morning + timedelta(seconds=1), Window(), SITE) == morning
    inside = at("2026-03-12T12:00:00-04:00")
    assert next_allowed(NEW_YORK, inside, inside + timedelta(hours=1), Window(), SITE) == inside


def test_a_stretch_goes_on_over_midnight_in_greenwich() -> None:
    noon = at("2026-03-12T12:00:00-07:00")
    span = next_span("+13105550101", noon, noon + timedelta(days=1), Window(), "America/Los_Angeles")
    assert span == (noon, at("2026-03-12T20:00:00-07:00"))


def test_a_window_that_leaves_nothing_of_the_countrys_hours_never_opens() -> None:
    early = Window(time(5), time(8), EVERY_DAY)
    start = at("2026-03-12T00:00:00-04:00")
    assert next_allowed(NEW_YORK, start, start + timedelta(days=14), early, SITE) is None


@pytest.mark.parametrize(
    ("night", "nine_oclock"),
    [
        ("2026-03-07T21:00:00-05:00", "2026-03-08T13:00:00+00:00"),  # clocks go forward: nine is an hour earlier
        ("2026-10-31T21:00:00-04:00", "2026-11-01T14:00:00+00:00"),  # and back
    ],
)
def test_hours_follow_the_clocks_when_they_change(night: str, nine_oclock: str) -> None:
    every_day = Window(weekdays=EVERY_DAY)
    found = next_allowed(NEW_YORK, at(night), at(night) + timedelta(days=2), every_day, SITE)
    assert found == at(nine_oclock)
    assert not verdict(NEW_YORK, found - timedelta(seconds=1), every_day, SITE).allowed


MINUTE = timedelta(minutes=1)
numbers = st.sampled_from(
    [NEW_YORK, LONDON, ANYWHERE_IN_NORTH_AMERICA, AUSTRALIAN_MOBILE, "+14165550101", FLORIDA, PARIS, SYDNEY]
)
hours_of_a_day = st.tuples(st.integers(0, 24 * 60 - 2), st.integers(1, 24 * 60 - 1)).map(
    lambda ends: (time(*divmod(min(ends), 60)), time(*divmod(max(ends[1], min(ends) + 1), 60)))
)
windows = st.builds(
    lambda usual, days, own, on_holidays: Window(
        *usual, tuple(sorted(days)), tuple((day, *hours) for day, hours in sorted(own.items())), on_holidays
    ),
    hours_of_a_day,
    st.sets(st.integers(0, 6), min_size=1),
    st.dictionaries(st.integers(0, 6), hours_of_a_day, max_size=3),
    st.booleans(),
)
# Around both changes of the clocks, in the south and the north, Christmas, and the summer's holidays.
moments = st.sampled_from(
    ["2026-03-06", "2026-03-28", "2026-04-03", "2026-05-13", "2026-07-02", "2026-10-03", "2026-10-24", "2026-12-23"]
).flatmap(lambda day: st.integers(0, 5 * 24 * 60).map(lambda m: at(f"{day}T00:00:00+00:00") + m * MINUTE))


@settings(max_examples=60, deadline=None)
@given(number_=numbers, window=windows, moment=moments)
def test_every_minute_of_the_next_stretch_is_allowed_and_the_ones_beside_it_are_not(
    number_: str, window: Window, moment: datetime
) -> None:
    limit = moment + timedelta(days=4)
    span = next_span(number_, moment, limit, window, SITE)
    start, end = span or (limit, limit)

    def allowed(at: datetime) -> bool:
        return verdict(number_, at, window, SITE).allowed

    assert moment <= start <= end <= limit
    minutes = range((end - start) // MINUTE)
    # Every minute of its first and last half hour, and every seventh between them: looking at each costs a while.
    assert all(allowed(start + n * MINUTE) for n in {*minutes[:30], *minutes[-30:], *minutes[::7]})
    assert not any(allowed(moment + n * MINUTE) for n in range(0, (start - moment) // MINUTE, 23))
    if start > moment:
        assert not allowed(start - MINUTE)
    if end < limit:
        assert not allowed(end)


@settings(max_examples=150, deadline=None)
@given(number_=numbers, window=windows, moment=moments)
def test_the_next_moment_is_allowed_and_none_before_it_is(number_: str, window: Window, moment: datetime) -> None:
    """The fast path (spans) and the plain one (the wall clock in each zone) agree."""
    limit = moment + timedelta(days=3)
    found = next_allowed(number_, moment, limit, window, SITE)
    assert verdict(number_, moment, window, SITE).allowed is (found == moment)
    if found is not None:
        assert verdict(number_, found, window, SITE).allowed
    for n in range(1, 30):
        before = moment + ((found or limit) - moment) * n / 30
        assert found == moment or not verdict(number_, before, window, SITE).allowed


def test_explaining_hours_hides_the_number_and_names_the_next_moment() -> None:
    told = explain_hours("(212) 555-0101", at("2026-03-12T22:00:00-04:00"))
    assert told["allowed"] is False
    assert told["next_allowed"] == "2026-03-13T13:00:00Z"
    assert told["zones"] == ["America/New_York"]
    assert "5550101" not in str(told)


def test_explaining_a_draw() -> None:
    told = explain_draw("00" * 32, "S", "X")
    assert told["u"] == number(bytes(32), "draw", "S", "X") == 0x07EC7FBB97415806
    with pytest.raises(InputError):
        explain_draw("no key", "S", "X")


@pytest.mark.parametrize(
    ("ended_at", "deadline", "skipped"),
    [
        ("2026-07-02T15:00:00-04:00", "2026-07-08T04:00:00Z", ["2026-07-03", "2026-07-04", "2026-07-05"]),
        ("2026-07-11T12:00:00-04:00", "2026-07-15T04:00:00Z", ["2026-07-12"]),
    ],
)
def test_explaining_a_deadline(ended_at: str, deadline: str, skipped: list[str]) -> None:
    told = explain_deadline(at(ended_at), "America/New_York", "US")
    assert told["deadline"] == deadline
    assert [one["day"] for one in told["skipped"]] == skipped
    with pytest.raises(InputError, match="offset"):
        explain_deadline(datetime(2026, 7, 2, 15), "America/New_York", "US")  # noqa: DTZ001
    assert at(ended_at).astimezone(UTC) < at(told["deadline"])
