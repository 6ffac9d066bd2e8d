"""The one exception of the portal."""


class PortalError(Exception):
    """The portal cannot be built from this input.

    Args:
        zh: what is wrong and what to do next, in Chinese.
        en: the same in English.
        exit_code: for the command line; 65 is bad input.
    """

    def __init__(self, zh: str, en: str, exit_code: int = 65) -> None:
        super().__init__(en)
        self.zh = zh
        self.en = en
        self.exit_code = exit_code
