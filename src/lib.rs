//! quell
pub mod ids;

pub mod signal;

pub mod facts;

pub mod cloud;

pub mod survey;

pub mod principal;

pub mod playbook;

pub mod policy;

pub mod incident;

pub mod plan;

pub mod journal;

pub mod contain;

pub mod verify;

pub mod release;

pub mod respond;

pub mod report;

pub mod aws;

pub mod range;

pub mod drill;

pub mod cli;
