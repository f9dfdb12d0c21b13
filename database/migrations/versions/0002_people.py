"""API keys; who did what by which door, append-only; an index for what refers to the ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None

# A batch operation on audit_log makes the table anew and loses these: make them again after one.
UNCHANGED = """
CREATE TRIGGER audit_log_is_never_changed BEFORE UPDATE ON audit_log
WHEN NEW.id IS NOT OLD.id OR NEW.at IS NOT OLD.at OR NEW.action IS NOT OLD.action OR NEW.subject IS NOT OLD.subject
  OR NEW.request_id IS NOT OLD.request_id OR NEW.actor IS NOT OLD.actor
  OR (NEW.user_id IS NOT OLD.user_id AND NEW.user_id IS NOT NULL)
  OR (NEW.key_id IS NOT OLD.key_id AND NEW.key_id IS NOT NULL)
BEGIN SELECT RAISE(ABORT, 'the audit log is never changed'); END
"""
KEPT = """
CREATE TRIGGER audit_log_is_kept_a_month BEFORE DELETE ON audit_log
WHEN OLD.at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-27 days')
BEGIN SELECT RAISE(ABORT, 'the audit log is kept for a month at least'); END
"""


def upgrade() -> None:
    op.create_table('api_keys',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('user_id', sa.Integer(), nullable=False),
    sa.Column('made_by', sa.Integer(), nullable=True),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('prefix', sa.Text(), nullable=False),
    sa.Column('secret_sha256', sa.Text(), nullable=False),
    sa.Column('scopes', sa.Text(), nullable=False),
    sa.Column('created_at', sa.Text(), nullable=False),
    sa.Column('expires_at', sa.Text(), nullable=True),
    sa.Column('last_used_at', sa.Text(), nullable=True),
    sa.Column('revoked_at', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['made_by'], ['users.id'], name=op.f('fk_api_keys_made_by')),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_api_keys_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_api_keys')),
    sa.UniqueConstraint('prefix', name=op.f('uq_api_keys_prefix'))
    )
    op.create_index('ix_api_keys_user_id', 'api_keys', ['user_id', 'id'])
    op.execute("ALTER TABLE audit_log ADD COLUMN actor TEXT NOT NULL DEFAULT 'user'")
    op.execute("ALTER TABLE audit_log ADD COLUMN key_id INTEGER CONSTRAINT fk_audit_log_key_id REFERENCES api_keys (id)")
    op.execute("UPDATE audit_log SET actor = CASE WHEN request_id IS NULL THEN 'command line' ELSE 'nobody' END WHERE user_id IS NULL")
    op.create_index('ix_audit_log_at', 'audit_log', ['at'])
    op.execute(UNCHANGED)
    op.execute(KEPT)
    op.create_index('ix_present_scores_prediction_id', 'present_scores', ['prediction_id'])


def downgrade() -> None:
    op.drop_index('ix_present_scores_prediction_id', 'present_scores')
    op.execute('DROP TRIGGER audit_log_is_kept_a_month')
    op.execute('DROP TRIGGER audit_log_is_never_changed')
    op.drop_index('ix_audit_log_at', 'audit_log')
    op.execute('ALTER TABLE audit_log DROP COLUMN actor')
    with op.batch_alter_table('audit_log', schema=None) as batch_op:
        batch_op.drop_column('key_id')
    op.drop_index('ix_api_keys_user_id', 'api_keys')
    op.drop_table('api_keys')
