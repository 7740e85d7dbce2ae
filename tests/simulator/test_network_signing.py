"""The signature is Twilio's, by its published example and by its own validator."""

from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator
from werkzeug.datastructures import MultiDict

from simulator.network import sign

URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
PUBLISHED = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+12349013030",
    "Digits": "1234",
    "From": "+12349013030",
    "To": "+18005551212",
}


def test_published_example() -> None:
    assert sign("12345", URL, PUBLISHED) == "0/KCTR6DLpKmkAf8muzZqo1nDgQ="


def test_order_does_not_matter_but_every_character_does() -> None:
    assert sign("12345", URL, dict(reversed(PUBLISHED.items()))) == sign("12345", URL, PUBLISHED)
    others = [
        sign("12346", URL, PUBLISHED),
        sign("12345", URL + "&x", PUBLISHED),
        sign("12345", URL.replace("https", "http"), PUBLISHED),
        sign("12345", URL, PUBLISHED | {"Digits": "1235"}),
        sign("12345", URL, PUBLISHED | {"Extra": ""}),
    ]
    assert len({*others, sign("12345", URL, PUBLISHED)}) == 6


def test_fragment_is_not_signed() -> None:
    assert sign("12345", URL + "#rc=2&rp=ct,rt,5xx", PUBLISHED) == sign("12345", URL, PUBLISHED)


def test_equal_pairs_count_once_and_repeated_names_all() -> None:
    pairs = [("A", "2"), ("A", "1"), ("A", "2")]
    assert sign("t", URL, pairs) == RequestValidator("t").compute_signature(URL, MultiDict(pairs))
    assert sign("t", URL, pairs) == sign("t", URL, pairs[:2])
    assert sign("t", URL, pairs) != sign("t", URL, pairs[:1])


@given(
    token=st.text(min_size=1),
    query=st.text(alphabet="abc=&%20+", min_size=1, max_size=20),
    pairs=st.lists(st.tuples(st.text(min_size=1, max_size=8), st.text(max_size=8)), max_size=8),
)
def test_agrees_with_twilio_s_own_validator(token: str, query: str, pairs: list[tuple[str, str]]) -> None:
    url = f"https://survey.example.com/ivr/answer?{query}"
    assert RequestValidator(token).validate(url, MultiDict(pairs), sign(token, url, pairs))
