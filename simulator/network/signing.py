"""Signs webhooks the way Twilio does, written from its description and not from its library.

Source: Twilio, "Webhooks security: validating signatures" (HMAC-SHA1 over the URL followed by the sorted parameters).
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping

SIGNATURE_HEADER = "X-Twilio-Signature"


def sign(auth_token: str, url: str, params: Mapping[str, str] | Iterable[tuple[str, str]]) -> str:
    """Give the X-Twilio-Signature of one POST.

    `url` is the full public address with its query; a fragment is Twilio's own override syntax and is not signed.
    `params` are the form fields; a name may come more than once, and equal (name, value) pairs count once.
    """
    pairs = params.items() if isinstance(params, Mapping) else params
    message = url.partition("#")[0] + "".join(name + value for name, value in sorted(set(pairs)))
    digest = hmac.new(auth_token.encode(), message.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode("ascii")
