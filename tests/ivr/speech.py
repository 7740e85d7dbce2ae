"""How long a TwiML document takes to say: espeak-ng speaks it into memory, and what it spoke is measured.

The library and its voices come with the wheel `espeakng-loader` (espeak-ng 1.52), so nothing need be installed on the
machine. Source of the calls, the structure and the numbers: espeak-ng 1.52, src/include/espeak-ng/speak_lib.h.
"""

from __future__ import annotations

import ctypes
import xml.etree.ElementTree as ET
from array import array
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any
from xml.sax.saxutils import escape

import espeakng_loader

WORDS_A_MINUTE = 175  # espeak-ng's own default
VOICES = {"en-US": "en-us", "es-US": "es-419", "fr-CA": "fr"}  # espeak-ng has no Canadian French

RETRIEVAL, CHUNK_MS, DONT_EXIT = 1, 100, 0x8000
RATE, CHARACTERS, UTF8_SSML = 1, 1, 0x01 | 0x10
LIST_END, WORD = 0, 1
SILENCE = 100  # of 32767: nobody hears less on a telephone


class Unavailable(Exception):
    """espeak-ng cannot be loaded on this machine."""


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),  # in characters, from 1
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # in milliseconds
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True)
class Spoken:
    """One text as spoken: its samples, and at which sample each word of it begins, by the word's place in the text."""

    text: str
    samples: array[int]
    words: tuple[tuple[int, int], ...]
    samples_a_second: int

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.samples_a_second

    def span(self, words: str) -> tuple[float, float]:
        """When these words of the text begin and end to sound, in seconds; the pause after them is not theirs."""
        first = self.text.index(escape(words))
        beyond = first + len(escape(words))
        begins = next(sample for place, sample in self.words if place >= first)
        ends = next((sample for place, sample in self.words if place >= beyond), len(self.samples))
        heard = [sample for sample in range(begins, ends) if abs(self.samples[sample]) > SILENCE]
        return heard[0] / self.samples_a_second, heard[-1] / self.samples_a_second


class Speaker:
    """espeak-ng. One a process: the library keeps its voice and its callback to itself. Raises Unavailable."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL(espeakng_loader.get_library_path())
            data = espeakng_loader.get_data_path().encode()
        except (OSError, RuntimeError) as error:
            raise Unavailable(str(error)) from error
        self._samples_a_second = self._library.espeak_Initialize(RETRIEVAL, CHUNK_MS, data, DONT_EXIT)
        if self._samples_a_second <= 0:
            raise Unavailable(f"espeak_Initialize gave {self._samples_a_second}")
        self._samples: array[int] = array("h")
        self._words: list[tuple[int, int]] = []
        self._callback = _Callback(self._take)  # kept: the library holds only its address
        self._library.espeak_SetSynthCallback(self._callback)

    def say(self, ssml: str, locale: str, rate: int = WORDS_A_MINUTE) -> Spoken:
        """The text, which may hold SSML (`<break time="1s"/>` ...), by the voice for that locale."""
        voice, text = VOICES[locale].encode(), ssml.encode()
        self._samples, self._words = array("h"), []
        _must(self._library.espeak_SetVoiceByName(voice))
        _must(self._library.espeak_SetParameter(RATE, rate, 0))
        size = ctypes.c_size_t(len(text) + 1)
        _must(self._library.espeak_Synth(text, size, 0, CHARACTERS, 0, UTF8_SSML, None, None))
        _must(self._library.espeak_Synchronize())
        return Spoken(ssml, self._samples, tuple(self._words), self._samples_a_second)

    def _take(self, samples: Any, number: int, events: Any) -> int:
        if samples:
            self._samples.extend(samples[:number])
        for event in map(events.__getitem__, count()):
            if event.type == LIST_END:
                return 0
            if event.type == WORD:
                self._words.append((event.text_position - 1, event.audio_position * self._samples_a_second // 1000))
        raise AssertionError("the events have no end")


@lru_cache
def speaker() -> Speaker:
    """The speaker of this process. Raises Unavailable."""
    return Speaker()


@lru_cache
def say(ssml: str, locale: str) -> Spoken:
    """The text as spoken at `WORDS_A_MINUTE`."""
    return speaker().say(ssml, locale)


def seconds(xml: str) -> float:
    """How long a TwiML document speaks and pauses, in seconds. Raises ValueError for a verb that is not timed here."""
    return sum(_seconds(verb) for verb in ET.fromstring(xml))


def _seconds(verb: ET.Element) -> float:
    if verb.tag == "Gather":
        return sum(_seconds(child) for child in verb)
    if verb.tag == "Say" and verb.get("loop", "1") == "1":
        return say(words_of(verb), verb.attrib["language"]).seconds
    if verb.tag == "Pause":
        return float(verb.get("length", "1"))
    if verb.tag == "Hangup":
        return 0
    raise ValueError(f"cannot tell how long this takes: {ET.tostring(verb, encoding='unicode')}")


def words_of(say: ET.Element) -> str:
    """What stands in a `<Say>`, its SSML with it."""
    return escape(say.text or "") + "".join(ET.tostring(child, encoding="unicode") for child in say)


def _must(code: int) -> None:
    if code != 0:
        raise RuntimeError(f"espeak-ng refused: error {code}")
