"""Written by hand: the database itself refuses to change what the audit log holds, whoever asks.

- An entry is only ever appended: no update, no insert elsewhere than behind the head, no truncate.
- It goes only when a sealed epoch (secrets_app/models/epoch.py) covers it; those rows follow one another and never change.
- The head only moves forward.

Who owns the tables can drop the triggers: on PostgreSQL run the console as a role that does not (README, "In production"); on SQLite the
file's owner can do anything, and the checkpoints outside of it are what shows.
To make 0001 anew, move this file aside meanwhile.
"""

from django.db import migrations

ENTRIES, HEAD, EPOCHS = "secrets_app_auditentry", "secrets_app_audithead", "secrets_app_sealedepoch"
REFUSAL = "The audit log is append-only."

# Name, table, what is refused, and when.
RULES = (
    ("audit_entry_update", ENTRIES, "UPDATE", "TRUE"),
    ("audit_entry_delete", ENTRIES, "DELETE", f"OLD.seq > (SELECT COALESCE(MAX(last_seq), 0) FROM {EPOCHS})"),
    ("audit_entry_insert", ENTRIES, "INSERT", f"NEW.seq <> (SELECT COALESCE(MAX(seq), 0) + 1 FROM {HEAD})"),
    ("audit_head_update", HEAD, "UPDATE", "NEW.id <> OLD.id OR NEW.seq <= OLD.seq"),
    ("audit_head_delete", HEAD, "DELETE", "TRUE"),
    ("audit_head_insert", HEAD, "INSERT", f"NEW.id <> 1 OR EXISTS (SELECT 1 FROM {HEAD})"),
    ("sealed_epoch_update", EPOCHS, "UPDATE", "TRUE"),
    ("sealed_epoch_delete", EPOCHS, "DELETE", "TRUE"),
    (
        "sealed_epoch_insert",
        EPOCHS,
        "INSERT",
        f"NEW.first_seq <> (SELECT COALESCE(MAX(last_seq), 0) + 1 FROM {EPOCHS}) OR NEW.last_seq < NEW.first_seq"
        f" OR NEW.last_seq > (SELECT COALESCE(MAX(seq), 0) FROM {HEAD})",
    ),
)

# INSERT OR REPLACE takes the row that it meets away without asking the DELETE trigger, whichever of its keys it meets.
REPLACING = (
    (
        "audit_entry_replace",
        ENTRIES,
        "INSERT",
        f"EXISTS (SELECT 1 FROM {ENTRIES} WHERE seq = NEW.seq OR rowid = NEW.rowid)"
        f" OR NEW.operation IS NOT NULL AND EXISTS (SELECT 1 FROM {ENTRIES} WHERE operation = NEW.operation)",
    ),
    ("sealed_epoch_replace", EPOCHS, "INSERT", f"EXISTS (SELECT 1 FROM {EPOCHS} WHERE last_seq = NEW.last_seq OR rowid = NEW.rowid)"),
)


def close_log(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        if schema_editor.connection.vendor == "sqlite":
            for name, table, verb, refused in (*RULES, *REPLACING):
                cursor.execute(
                    f"CREATE TRIGGER IF NOT EXISTS {name} BEFORE {verb} ON {table} WHEN {refused} BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
                )
            return
        # The function looks into our schema and never first into pg_temp, where anybody can put a table of the same name.
        cursor.execute("SELECT quote_ident(current_schema())")
        (schema,) = cursor.fetchone()
        for name, table, verb, refused in RULES:
            cursor.execute(
                f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET search_path = {schema}, pg_temp AS $$ BEGIN "
                f"IF {refused} THEN RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'restrict_violation'; END IF; "
                f"RETURN {'OLD' if verb == 'DELETE' else 'NEW'}; END $$"
            )
            cursor.execute(f"CREATE OR REPLACE TRIGGER {name} BEFORE {verb} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")
        cursor.execute(
            f"CREATE OR REPLACE FUNCTION audit_truncate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'restrict_violation'; END $$"
        )
        for table in (ENTRIES, HEAD, EPOCHS):
            cursor.execute(f"CREATE OR REPLACE TRIGGER {table}_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION audit_truncate()")


def open_log(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        if schema_editor.connection.vendor == "sqlite":
            for name, *_rest in (*RULES, *REPLACING):
                cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
            return
        for name, table, *_rest in RULES:
            cursor.execute(f"DROP TRIGGER {name} ON {table}")
            cursor.execute(f"DROP FUNCTION {name}()")
        for table in (ENTRIES, HEAD, EPOCHS):
            cursor.execute(f"DROP TRIGGER {table}_truncate ON {table}")
        cursor.execute("DROP FUNCTION audit_truncate()")


class Migration(migrations.Migration):
    dependencies = [("secrets_app", "0001_initial")]

    operations = [migrations.RunPython(close_log, open_log)]
