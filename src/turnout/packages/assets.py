"""Which files of a site carry their content's hash in their name, and how its sidecars are called.

A hashed file never changes under its name, so browsers may keep it for ever and an open tab of
an earlier release may still ask for it.  The origin's configuration uses the same expression
as :func:`is_hashed`, so it is written in what Python's ``re`` and Go's RE2 have in common.
"""

from __future__ import annotations

import re

# Beside each file of a project stands its quoted strong ETag.
ETAG_SUFFIX = ".turnout-etag"
# Beside each compressed variant that Turnout made stands that one's, which also says whose it is:
# it is served in place of the file, and nobody finds it under its own name.
VARIANT_SUFFIX = ".turnout-made"
# Names of a project never end so.
RESERVED = (ETAG_SUFFIX, VARIANT_SUFFIX)
# Content-Encoding to the ending of the variant's file, best first.
ENCODINGS = {"br": ".br", "gzip": ".gz"}


def etag(digest: str, encoding: str = "") -> str:
    """Return the ETag of a file for its sidecar.

    Variants get tags of their own, because a strong tag promises the same bytes.

    Args:
        digest: The digest of the uncompressed content, in hexadecimal digits.
        encoding: ``br``, ``gzip`` or nothing for the file itself.
    """
    return f'"{digest[:32]}-{encoding}"' if encoding else f'"{digest[:32]}"'


def is_hashed(path: str) -> bool:
    """Return whether the file's name holds what looks like a hash of its content.

    Recognised are the names that Vite, Rollup, webpack, Parcel, esbuild, Next, Angular and
    Rails give.  A miss costs a request; a false hit would show a stale file, so words, dates,
    version numbers and the names that cameras give do not count.

    Args:
        path: A path with slashes, relative or absolute.
    """
    return _HASHED.fullmatch(path) is not None


def is_bridged(path: str) -> bool:
    """Return whether the file is kept reachable after a release that no longer has it.

    This is wider than :func:`is_hashed`, for the errors weigh differently: a hash that is
    missed breaks an open tab, while one script too many only stays reachable for a while.

    Args:
        path: A path with slashes, relative or absolute.
    """
    return is_hashed(path) or _BRIDGED.fullmatch(path) is not None


def _contains(evidence: str, letter: str, width: int, least: int, most: str = "") -> str:
    """Return an expression for a token of *letter* that contains *evidence* somewhere.

    RE2 has no lookahead, so the places where the evidence may begin are written out.

    Args:
        evidence: An expression for *width* characters.
        letter: The class of all characters of the token.
        width: How many characters the evidence has.
        least: The shortest token.
        most: ``"exactly"`` if *least* is the only length.
    """
    comma = "" if most else ","
    places = [
        f"{letter}{{{before}}}(?:{evidence}){letter}{{{least - width - before}{comma}}}"
        for before in range(least - width + 1)
    ]
    if not most:
        places.append(f"{letter}{{{least - width + 1},}}(?:{evidence}){letter}*")
    return "(?:" + "|".join(places) + ")"


# webpack, Parcel, Next, Angular, Rails: hexadecimal with digits and letters.
_HEX = _contains("[0-9][a-f]|[a-f][0-9]", "[0-9a-f]", 2, 8)
# Vite and Rollup: base64url.  Three neighbours whose kinds do not follow each other in words
# ("bundleV2", "camelCase", "viewer3D") but nearly always somewhere in a random token.
_ODD = (
    "[A-Z][a-z][A-Z]|[A-Z][a-z][0-9]|[A-Z][0-9][a-z]|[0-9][A-Z][0-9]|[0-9][a-z][A-Z]"
    "|[a-z][A-Z][0-9]|[0-9][a-wyz][0-9]"
)
_BASE64 = _contains(_ODD, "[0-9A-Za-z_-]", 3, 8, "exactly")
_BASE62 = _contains(_ODD, "[0-9A-Za-z]", 3, 8)
# esbuild: base32 in capitals.
_BASE32 = _contains("[A-Z]", "[A-Z2-7]", 1, 8, "exactly")
# The same with every digit, for scripts and styles only: cameras write DSC01234.jpg.
_CAPITALS = _contains("[A-Z]", "[A-Z0-9]", 1, 8, "exactly")
_CODE_ENDING = r"(?:\.(?:chunk|min|bundle|module|legacy))?\.(?:[cm]?js|css|wasm)(?:\.map)?"
# Pages and downloads keep their names while their content changes.
_ENDINGS = (
    r"(?:\.(?:chunk|min|bundle|module|legacy))?"
    r"\.(?:[cm]?js|css|json|wasm|webmanifest|txt|xml|svg|png|jpe?g|gif|webp|avif|ico|cur|bmp"
    r"|woff2?|ttf|otf|eot|mp[34]|m4[av]|webm|og[gv]|wav|flac|aac|pdf|glb|gltf|bin|data|vtt|hdr"
    r"|frag|vert|glsl|ktx2|basis|riv)(?:\.map)?"
)
# Whatever lies there is immutable by the framework's own promise (Next, SvelteKit).
_IMMUTABLE_PLACES = r"(?:[^\n]*/)?(?:_next/static|_app/immutable)/[^\n]+"
HASHED_PATTERN = (
    r"^(?:(?:[^\n]*[/._~-])?"
    rf"(?:{_HEX}|{_BASE62}){_ENDINGS}|[^\n]*[.-](?:{_BASE32}{_ENDINGS}|{_CAPITALS}{_CODE_ENDING})"
    rf"|(?:[^\n]*[/.-])?{_BASE64}{_ENDINGS}|{_IMMUTABLE_PLACES})$"
)
# Any token of eight with a digit or a capital, so that hardly a hash is missed; code only, for
# a picture or document that was taken down should be gone, and its lack breaks no tab.
_LIKELY = _contains("[0-9A-Z]", "[0-9A-Za-z_-]", 1, 8)
BRIDGED_PATTERN = rf"^(?:[^\n]*[/._~-])?{_LIKELY}{_CODE_ENDING}$"
_HASHED = re.compile(HASHED_PATTERN)
_BRIDGED = re.compile(BRIDGED_PATTERN)
