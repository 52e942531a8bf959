/** The clients are used as any program would, and are not checked here: they have types of their own, or none. */
declare module "amqplib";
declare module "basic-ftp";
declare module "imapflow";
declare module "ioredis";
declare module "irc-framework";
declare module "ldapts";
declare module "mqtt";
declare module "mysql2/promise";
declare module "nats";
declare module "nodemailer";
declare module "pg";
declare module "postgres";
declare module "redis";
declare module "undici";
declare module "worker-mailer";
