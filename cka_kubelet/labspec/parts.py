"""Words that every part of a lab file is made of."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as err:
        raise ValueError(f"not a regular expression: {err}") from None
    return text


Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
Text = Annotated[str, Field(min_length=1, max_length=20_000)]
Line = Annotated[str, Field(min_length=1, max_length=400)]
Pattern = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_pattern)]
AbsolutePath = Annotated[str, Field(pattern=r"^/[^\x00]*$", max_length=400)]
UnitName = Annotated[str, Field(pattern=r"^[A-Za-z0-9:_.@-]+\.(service|socket|timer|mount|target)$")]
Selector = Annotated[str, Field(pattern=r"^[\w./-]+=[\w.-]+(,[\w./-]+=[\w.-]+)*$", max_length=300)]
Seconds = Annotated[int, Field(ge=1, le=900)]


class Part(BaseModel):
    """Base of everything in a lab file: unknown keys are errors, values are not guessed at."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)
