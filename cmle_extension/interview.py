"""The questions on a terminal: an invalid answer is asked for again, so that the others are not lost."""

import functools
import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from types import FrameType
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context

from .recorded import recorded_answers
from .refusal import AnswerRefused, advice, refusal, shown

ENGINE_FUNCTION = "prompt_for_config"


def asking_again(
    prompt: str, check: Callable[..., str], complete: Callable[[str], str] | None = None
) -> Callable[..., str]:
    """Return a filter that applies `check` to the answer to `prompt`, and asks again while it is invalid.

    `complete` returns the whole answer, from the result of `check`, where a part of it is enough.
    """

    @pass_context
    @functools.wraps(check)
    def checked(context: Context, answer: object, *others: str) -> str:
        # What later defaults are computed from, and cruft records.
        answers = context["cookiecutter"]
        while True:
            try:
                result = check(answer, *others)
            except AnswerRefused as refused:
                answer = answers[prompt] = asked_again(prompt, refused, answers)
            else:
                if complete:
                    answers[prompt] = complete(result)
                return result

    return checked


def asked_again(prompt: str, refused: Exception, answers: MutableMapping[str, Any]) -> str:
    """Show why an answer is refused, ask again as the engine does, and return the answer; raise `refused` if nobody is asked."""
    interview = running_interview()
    if interview is None:
        raise refused
    from cookiecutter.prompt import read_user_variable, render_variable
    from rich.console import Console

    Console().print(str(refused), style="red", markup=False, emoji=False, highlight=False)
    default = render_variable(
        interview["env"], interview["context"]["cookiecutter"][prompt], answers
    )
    answer: str = read_user_variable(prompt, default, interview["prompts"], interview["prefix"])
    return answer


def show_while_asking(lines: Iterable[str]) -> None:
    """Show lines between the questions; nothing where nobody is asked, since baking ends with them."""
    if running_interview():
        print("".join(f"{line}\n" for line in lines), end="", file=sys.stderr, flush=True)


def check_given_names(prompts: Iterable[str]) -> None:
    """Refuse a given answer that no prompt asks for: the engine would ignore it, and bake with the default instead."""
    frame: FrameType | None = sys._getframe()
    while frame and "extra_context" not in frame.f_locals:
        frame = frame.f_back
    given = frame.f_locals["extra_context"] if frame else None
    prompts = sorted(prompts)
    for name in {} if recorded_answers() else given or {}:
        if name not in prompts:
            remedy = advice(name, prompts, "remove it")
            raise refusal(shown(name), "no prompt has this name", ", ".join(prompts), remedy)


def running_interview() -> Mapping[str, Any] | None:
    """Return the variables of the engine's function that asks; None if it asks nobody, as with --no-input.

    The engine tells a filter nothing about this, so the variables are read from its frame.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    frame = sys._getframe()
    while frame.f_back and frame.f_code.co_name != ENGINE_FUNCTION:
        frame = frame.f_back
    variables = frame.f_locals
    needed = {"context", "env", "prompts", "prefix"}
    return variables if needed <= variables.keys() and not variables.get("no_input", True) else None
