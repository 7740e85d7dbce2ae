"""The error family: every refusal says what is wrong, where, and how to mend it."""

from __future__ import annotations


class AftercallError(Exception):
    """A refusal meant for a person.

    `what` is wrong in one sentence, `where` it was found (file, line, column, setting, row) and `how` to mend it.
    The command line prints it and exits with `exit_code`; pages and the API answer with `status`.
    """

    status = 400
    exit_code = 1

    def __init__(self, what: str, *, where: str = "", how: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.how = what, where, how

    def __str__(self) -> str:
        said = f"{self.where}: {self.what}" if self.where else self.what
        if not self.how:
            return said
        return f"{said} {self.how}" if said.endswith((".", "!", "?")) else f"{said}. {self.how}"

    def as_dict(self) -> dict[str, str]:
        """The error for JSON answers; empty parts are left out."""
        return {k: v for k, v in {"error": self.what, "where": self.where, "how": self.how}.items() if v}


class InputError(AftercallError):
    """What was handed in (file, form, option) cannot be taken."""


class NotFound(AftercallError):
    """The thing named does not exist."""

    status = 404


class Refused(AftercallError):
    """The thing exists, but this must not be done with it now."""

    status = 409


class SettingsError(AftercallError):
    """The service cannot start with these settings; lists every fault."""

    status = 500


class ProviderError(AftercallError):
    """An outside part (phone network, mail relay) said no.

    `permanent` means that trying the same again cannot work.
    """

    status = 502

    def __init__(self, what: str, *, permanent: bool, where: str = "", how: str = "") -> None:
        super().__init__(what, where=where, how=how)
        self.permanent = permanent
