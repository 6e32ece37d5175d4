DROP TABLE team_binding;
DROP TABLE team_member;
DROP TABLE team;
