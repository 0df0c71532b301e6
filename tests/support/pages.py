"""Pages taken apart, and a name that would break one."""

from html.parser import HTMLParser

HOSTILE = "</script><img src=x onerror=alert(1)>'\"&{{ 7*7 }}\x1b[31m\u202egnp.wav"


class Read(HTMLParser):
    """The elements of a page in their order, its ids and its words."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.ids, self.named, self.words = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        told = dict(attrs)
        self.ids += [told["id"]] if "id" in told else []
        self.named += (told.get("aria-labelledby") or "").split()
        self.named += [told["href"][1:]] if told.get("href", "").startswith("#") else []

    def handle_data(self, data):
        self.words.append(data)
