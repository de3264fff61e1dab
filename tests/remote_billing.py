"""Data of a project that remote clients work with: the text of its `tasks/billing.py`, after `FILE = …`."""

BILLING = """
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from onserver import procedure, session
from onserver.data import data_function, datastore, local, trigger

class Base(DeclarativeBase):
    pass

def seen():
    mine = session()
    return [mine.info.type, mine.id] if mine else None

class Invoice(Base):
    __tablename__ = "invoice"
    id: Mapped[int] = mapped_column(primary_key=True)
    total: Mapped[int]
    saved_in: Mapped[str] = mapped_column(default="")

    @data_function
    @classmethod
    def add(cls, total):
        with billing.session() as data:
            made = cls(total=total)
            data.add(made)
            data.flush()
            return made

    @data_function
    def on_server(self):
        return [self.total, seen()]

    @local
    def on_client(self):
        return [self.total, seen()]

@trigger(Invoice, on="insert")
def stamp(invoice, event):
    invoice.saved_in = " ".join(seen())

@datastore(Invoice)
def billing():
    engine = sa.create_engine("sqlite:///" + FILE)
    Base.metadata.create_all(engine)
    return engine

@procedure
def bill(total):
    with billing.session():
        made = Invoice.add(total)
        return [made.saved_in, made.on_server()]
"""
