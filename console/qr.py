"""A text as a picture for a phone's camera."""

import base64
from io import BytesIO

import qrcode
from qrcode.image.svg import SvgPathFillImage


def data_url(text: str) -> str:
    """For the src of an img: black on white in either theme, as cameras want it. The policy of our pages allows it there alone."""
    drawn = BytesIO()
    qrcode.make(text, image_factory=SvgPathFillImage, border=2).save(drawn)
    return "data:image/svg+xml;base64," + base64.b64encode(drawn.getvalue()).decode()
