"""Words in headers, English and Spanish, that say what a column is. They hint; figures decide."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


IDS = _words(
    "id ids nbr nr nro uuid guid rut dni ssn patient customer client cliente user usuario account cuenta paciente"
    " household hogar member socio alumno student empleado employee host folio ticket"
)
CODES = IDS | _words("code codigo cod zip postal")
AFTERWARDS = _words(
    "after final result resultado outcome status estado cancelled canceled cancelado closed cerrado returned refund"
    " churned resolved resolution resuelto discharge discharged posterior despues actual real paid pagado"
)
BIRTH = _words("birth born dob nacimiento nac nacido fnac birthday cumpleanos")
LATE = _words("end fin until hasta expiry expires due vencimiento termino last ultimo ultima updated")
TIMES = _words("date fecha time timestamp hora datetime at day dia when cuando moment created creado ts")
PERCENT = _words("percent percentage pct porcentaje porc")
AGE = _words("age edad")
YES = _words("yes y si s 1 1.0 true t verdadero v positive positivo pos")
NO = _words("no n 0 0.0 -1 false f falso negative negativo neg")
