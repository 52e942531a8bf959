/**
 * The clients are installed outside of the checkout, where TypeScript does not look, and some bring no types: here they
 * are of any type.
 */
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
declare module "unenv";
declare module "worker-mailer";
