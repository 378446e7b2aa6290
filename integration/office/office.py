"""A LibreOffice that does as it is told, a line at a time: see office_test.go.

    office.py PROFILE

starts a headless soffice with this profile (a directory of its own) and reads commands, words separated
by tabs, from its standard input. Each is answered with one line: "ok" and what there is to tell, or
"error" and why.

    new PATH TEXT     makes a document of the kind that the name's end says, with this text, and closes it
    open PATH         opens it as a person would; tells "writable", or "locked, read-only" when
                      LibreOffice found it locked and asked what to do
    text              tells the text of the open document
    write TEXT        replaces it
    save              saves in place
    close             closes the document

It ends, and the soffice too, when its input does.
"""

import os
import subprocess
import sys
import time

import uno
import unohelper
from com.sun.star.beans import PropertyValue
from com.sun.star.connection import NoConnectException
from com.sun.star.task import XInteractionHandler

KINDS = {  # new documents, and how they are stored
    ".odt": ("private:factory/swriter", "writer8"),
    ".docx": ("private:factory/swriter", "MS Word 2007 XML"),
    ".ods": ("private:factory/scalc", "calc8"),
}


def prop(name, value):
    p = PropertyValue()
    p.Name, p.Value = name, value
    return p


def url(path):
    return uno.systemPathToFileUrl(path)


class Person(unohelper.Base, XInteractionHandler):
    """Answers the one question that opening a document raises here, what to do with one that somebody has
    locked: open it read-only. What it is asked it can't see: PyUNO fails to pass on an exception as a value."""

    def __init__(self):
        self.asked = False

    def handle(self, request):
        self.asked = True
        for answer in request.getContinuations():
            if approve := answer.queryInterface(uno.getTypeByName("com.sun.star.task.XInteractionApprove")):
                approve.select()


class Office:
    def __init__(self, profile):
        pipe = "satchel-%d" % os.getpid()
        self.process = subprocess.Popen(
            ["soffice", "-env:UserInstallation=" + url(profile), "--headless", "--norestore", "--nologo",
             "--nodefault", "--accept=pipe,name=%s;urp;" % pipe],
            stdin=subprocess.DEVNULL, stdout=sys.stderr)
        local = uno.getComponentContext()
        resolver = local.ServiceManager.createInstanceWithContext("com.sun.star.bridge.UnoUrlResolver", local)
        while True:
            try:
                self.context = resolver.resolve("uno:pipe,name=%s;urp;StarOffice.ComponentContext" % pipe)
                break
            except NoConnectException:
                if self.process.poll() is not None:
                    raise SystemExit("soffice ended with %d" % self.process.returncode)
                time.sleep(0.1)
        self.desktop = self.context.ServiceManager.createInstanceWithContext("com.sun.star.frame.Desktop", self.context)
        self.document = None

    def load(self, where, *more):
        document = self.desktop.loadComponentFromURL(where, "_blank", 0, (prop("Hidden", True),) + more)
        if document is None:
            raise RuntimeError("it can't be opened")
        self.document = document

    def place(self):
        """Where the text is: that of a letter, or the first cell of a sheet."""
        if self.document.supportsService("com.sun.star.sheet.SpreadsheetDocument"):
            return self.document.Sheets.getByIndex(0).getCellByPosition(0, 0)
        return self.document.Text

    def new(self, path, text):
        factory, form = KINDS[os.path.splitext(path)[1]]
        self.load(factory)
        self.place().setString(text)
        self.document.storeAsURL(url(path), (prop("FilterName", form),))
        self.close()

    def open(self, path):
        person = Person()
        self.load(url(path), prop("InteractionHandler", person))
        return ("locked, " if person.asked else "") + ("read-only" if self.document.isReadonly() else "writable")

    def text(self):
        return self.place().getString()

    def write(self, text):
        self.place().setString(text)

    def save(self):
        self.document.store()

    def close(self):
        self.document.close(True)
        self.document = None

    def end(self):
        try:
            self.desktop.terminate()
        except Exception:  # the connection goes with it
            pass
        self.process.wait()


def main():
    office = Office(sys.argv[1])
    print("ok", flush=True)
    try:
        for line in sys.stdin:
            word, *rest = line.rstrip("\n").split("\t")
            try:
                said = getattr(office, word)(*rest)
                print("ok", said or "", flush=True)
            except Exception as e:
                print("error", repr(e).replace("\n", " "), flush=True)
    finally:
        office.end()


main()
