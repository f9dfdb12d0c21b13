"""How people call the columns of customer tables and the values of labels, in five languages.

Law: names and values are compared in lower case without accents; nothing here looks at more than one text.
"""

from __future__ import annotations

import re
import unicodedata

from shared.schema.features import snake


def plain_text(text: str) -> str:
    """Lower case without accents and without a full stop at the end.

    >>> plain_text("Gekündigt"), plain_text("True."), plain_text("Sí")
    ('gekundigt', 'true', 'si')
    """
    apart = unicodedata.normalize("NFKD", text.strip().replace("ß", "ss"))
    return "".join(letter for letter in apart if not unicodedata.combining(letter)).lower().rstrip(".")


def plain_name(name: str) -> str:
    """A column name in snake case without accents.

    >>> plain_name("Nº de socio"), plain_name("Kündigungsdatum"), plain_name("customerID")
    ('no_de_socio', 'kundigungsdatum', 'customer_id')
    """
    apart = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    return snake("".join(letter for letter in apart if not unicodedata.combining(letter)))


# --- ids ------------------------------------------------------------------------------------------------------------

_WHO = (
    r"customer|client|user|subscriber|account|acct|member|membership|cust|person|contact|household|employee|patient"
    r"|kunden?|nutzer|benutzer|mitglied\w*|teilnehmer|cliente|usuario|socio|titular|abonn\w*|abonad\w+"
    r"|abonent\w*|assinante"
    r"|suscriptor|klient\w*|utilisateur|adherent|klant\w*|subscription|contract|contrat\w?|contrato"
    r"|vertrags?|policy|police|polizza|poliza"
    r"|apolice|phone|mobile|telephone|telefon|telefono|imsi|iban"
)
_ID_WORD = "id|uid|uuid|guid|no|nr|num|number|nummer|numero|key|ref|code|hash"
_ID_BEFORE = "id|uid|n|no|nr|num|numer|number|nummer|numero|cod|code|codigo|codice|ref|identificador|identifiant"
#: Words that end in "id" and name nothing.
_NO_ID = r"(?!(?:.*_)?(?:\w*paid|bid|grid|covid|humid|valid|invalid|void|rapid|hybrid|liquid|android|kid|mid|aid)$)"
#: Names of an id, the surest first.
IDS = (
    re.compile(rf"(?:{_WHO})_?(?:id|uid|uuid|guid)|id|uid|uuid|guid|row_?id|msno"),
    re.compile(rf"(?:{_WHO})(?:_?(?:{_ID_WORD}))?|msisdn|clientnum|identifier|identifiant|identificador|kennung"),
    re.compile(rf"(?:{_ID_BEFORE})_(?:(?:de|du|do|da|del|of)_)?(?:l_|la_)?(?:{_WHO})"),
    re.compile(rf"{_NO_ID}(?:.*_(?:id|uid|uuid|guid)|.*id)"),
    re.compile(r".*_(?:no|nr|num|number|key|ref)|.*(?:nr|nummer)"),
)
#: Names that can be nothing but ids.
ONLY_IDS = re.compile(
    rf"(?:{_WHO})_?(?:id|uid|uuid|guid|no|nr)|id|uid|uuid|guid|.*_(?:id|uid|uuid|guid|no|nr)|.*(?:nr|nummer)"
    r"|(?:phone|mobile|telephone|telefono?|imsi|iban|ssn)(?:_\w+)?"
)
#: Columns that count the rows, and those that name people: of no use to a model in a table of few rows either.
ROW_COUNTS = re.compile(r"row_?(?:no|nr|num|number|id)?|unnamed_\d+|index|idx|f|no|nr|lfd_nr|x|s_no|sl_no|sr_no")
NAMES = re.compile(
    r"(?:.*_)?(?:name|names|surname|firstname|lastname|nachname|vorname|nom|prenom|nombre|apellidos?|nome"
    r"|cognome|address"
    r"|street|adresse|strasse|direccion|endereco|indirizzo)"
)

# --- labels ---------------------------------------------------------------------------------------------------------

CHURN = re.compile(r"(?:.*_)?churn(?:ed|er)?(?:_.*)?")
#: Columns about churn that are no label, and those that are one only where nothing else is.
ABOUT_CHURN = re.compile(r".*_(?:reasons?|category|categories|dates?|type|comments?|cause|why)")
CHURN_SCORE = re.compile(r".*_(?:risk|score|risk_score|probability|prob|propensity|prediction|predicted)")
_IS = "(?:is|has|have|will|did|had|ist|hat|est|a|ha|flag|customer|kunde|client|cliente)_"
_SAID = (
    "(?:_(?:flag|label|value|status|indicator|ind|yn|y_n|j_n|o_n|s_n|company|service|customer|kunde|client|subscription"
    "|account|membership|contract|policy|plan))"
)
GONE = re.compile(
    rf"(?:{_IS})?(?:exit(?:ed)?|left|leave[rs]?|attrition|attrited|cancel(?:l?ed|l?ation)?|lapsed?|gone"
    rf"|lost|unsubscribed?"
    r"|terminated|deactivated|defected|departed|quit|stopped|disconnected|dropped_out|drop_?out|surrendered|churner"
    r"|gekue?ndigt|kue?ndigung|abgewandert|abwanderung|abgemeldet|ausgetreten|storniert|storno|verloren"
    r"|resilie|resiliation|desabonne|desabonnement|parti|depart|perdu|baja|(?:dado_)?de_baja|perdido"
    r"|abandono|abandona|fuga|cancelado|cancela"
    rf"|cancelo|cancelou|cancelamento|saiu|evasao|desligado|disdetta|abbandono|cessato|opgezegd|vertrokken"
    rf"|rezygnacja){_SAID}*"
)
TARGET = re.compile(r"targets?|labels?|outcome|y|class|event(?:_observed)?|ziel|zielvariable|objetivo|cible|alvo")
STATUS = re.compile(r"(?:.*_)?(?:\w*status|state|lifecycle|statut|estado|zustand|situacao|stato)")
#: Columns that say who stays: whether their other value means left is for a person to say.
STAYS = re.compile(
    rf"(?:{_IS})?(?:active|subscriber|subscribed|subscribing|retained|retention|renewed|renewal|renews"
    rf"|stayed|stays|current|alive"
    r"|aktiv|actif|activo|ativo|abonne|suscrito|member|customer)(?:_(?:member|customer|user|flag|status"
    r"|subscriber|subscription))?"
)
#: Words for a customer who has left, wherever they stand.
GONE_WORDS = re.compile(
    r"churn.*|left|leaver?|leaving|exited|attrited.*|cancell?ed.*|cancell?ation|lost|gone|lapsed|terminated|closed"
    r"|deactivated|unsubscribed|surrendered|disconnected|departed|resigned|defected|inactive|ex-?customer"
    r"|former.*|expired"
    r"|ended|drop-?out|dropped.*"
    r"|gekue?ndigt|abgewandert|ausgetreten|storniert|inaktiv|ehemalig.*|resilie|inactif|perdu|baja|de baja|inactivo"
    r"|cancelad[oa]|inativo|perdido|cessato|opgezegd"
)
#: Values of a label that mean that somebody left.
LEFT = re.compile(rf"{GONE_WORDS.pattern}|1|yes|y|true|t|ja|oui|si|sim|j|wahr|vrai|verdadero|tak|evet")
STAYED = re.compile(
    r"0|-1|active|stay\w*|existing.*|retained|current|joined|open|not?|not?[ _-].*|non|nein|nee|nao|n|f"
    r"|false|falsch"
    r"|faux|falso|nie|paused|live|remain\w*|continu\w*|in force|kept|loyal|renewed|aktiv|actif|activ[oa]|ativ[oa]"
    r"|bleibt|geblieben|vigente"
)

_NUMBERED = re.compile(r"^\d+\s*[-–:.)=]\s*(?=\D)")


def meaning(value: str) -> str:
    """The meaning of a label's value: in lower case, without accents and without a number before it.

    >>> meaning("0 - No"), meaning("Yes "), meaning("1")
    ('no', 'yes', '1')
    """
    return _NUMBERED.sub("", plain_text(value))


# --- dates and the contract -----------------------------------------------------------------------------------------

AS_OF = re.compile(
    r"as_?of(?:_date)?|snapshot(?:_date)?|(?:observation|reference|reporting|extraction|extract)_date|stichtag"
)
END = re.compile(
    r"(?:.*_)?(?:end|ended|cancel\w*|churn|churned|terminat\w*|expir\w*|closed|closing|left|exit\w*"
    r"|lapse\w*|unsubscri\w*"
    r"|deactivat\w*|disconnect\w*|departure|surrender\w*|\w*ende|gekue?ndigt|kue?ndigung\w*|ausgetreten|austritt\w*|resiliation"
    r"|fin|baja|termino"
    r"|cancelamento|saida)(?:_.*)?"
)
START = re.compile(
    r"(?:.*_)?(?:start|started|sign_?up|join|joined|joining|regist\w*|created|since|activat\w*|begin"
    r"|enrol\w*|onboard\w*|opened"
    r"|opening|subscribed|effective_from|effective_date|\w*beginn|anmelde\w*|eintritt\w*|inscri\w*"
    r"|d_effet|debut|adhesion|alta|inicio|cadastro)"
    r"(?:_.*)?"
)
REASON = re.compile(
    r"(?:end|cancel\w*|churn|leaving|exit|terminat\w*|kue?ndigungs?)_?(?:reason|grund)"
    r"|(?:reason_(?:for|of)|motif|raison|motivo|causa)_\w+"
)
#: The end of a contract that may be renewed, as a day or as the time until then; and whether it renews itself.
CONTRACT_END = re.compile(
    r"(?:contract|term|commitment|membership|plan|renewal|policy|vertrags?|mindestlaufzeit|contrat|contrato)_?"
    r"(?:end|ends|ends_on|end_date|until|expir\w*|runs_until|ende|fin|renewal|renewal_date|expir\w*_date)"
    r"|(?:next_)?renew(?:al|s)(?:_date|_on|s_on)?|expir(?:y|es|ation|e)(?:_date|_on)?|laufzeitende|fecha_fin_contrato"
    r"|(?:days?|weeks?|months?)_(?:to|until|till|left_(?:in|of|to))_(?:the_)?(?:contract_?)?"
    r"(?:end|renewal|expiry|expiration|contract)|(?:contract|commitment)_(?:days|weeks|months)_left"
)
AUTO_RENEW = re.compile(
    r"(?:is_|has_)?auto(?:matic)?_?(?:renew\w*|recharge)(?:_(?:flag|on|enabled|status))?|renews_automatically"
    r"|(?:automatische_)?verlaengerung|renovacion_automatica|renouvellement_auto\w*"
)
PRICE = re.compile(r"(?:monthly|subscription|plan)_(?:price|charges?|fee|rate|payment)|price|mrr|price_per_month")
PLANS = (
    re.compile(
        r"(?:current_|subscription_)?(?:plan|contract|tariff|tier|package|tarif|vertrag|plano)(?:_(?:type"
        r"|name|plan|tier))?"
    ),
    re.compile(r"\w+_(?:plan|type)"),
)
EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
