-- A part of opsi's tables, written for these tests: the columns that a renaming
-- touches. %CHANGE% is what the foreign keys do when the id of a host changes.
CREATE TABLE HOST (
  hostId VARCHAR(255) NOT NULL PRIMARY KEY,
  type VARCHAR(30),
  description VARCHAR(100),
  notes VARCHAR(500),
  hardwareAddress VARCHAR(17),
  opsiHostKey VARCHAR(32),
  lastSeen TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  depotLocalUrl VARCHAR(128), depotRemoteUrl VARCHAR(255), depotWebdavUrl VARCHAR(255),
  repositoryLocalUrl VARCHAR(128), repositoryRemoteUrl VARCHAR(255),
  workbenchLocalUrl VARCHAR(128), workbenchRemoteUrl VARCHAR(255),
  masterDepotId VARCHAR(255),
  UNIQUE KEY (hardwareAddress)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;
CREATE TABLE CONFIG (configId VARCHAR(200) NOT NULL PRIMARY KEY, type VARCHAR(30), description VARCHAR(256)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;
CREATE TABLE CONFIG_VALUE (
  config_value_id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, configId VARCHAR(200) NOT NULL, value TEXT, isDefault TINYINT(1),
  FOREIGN KEY (configId) REFERENCES CONFIG (configId)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;
CREATE TABLE CONFIG_STATE (
  configId VARCHAR(200) NOT NULL, objectId VARCHAR(255) NOT NULL, `values` TEXT, PRIMARY KEY (configId, objectId)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;
CREATE TABLE PRODUCT_PROPERTY_STATE (
  product_property_state_id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, productId VARCHAR(255), propertyId VARCHAR(200), objectId VARCHAR(255), `values` TEXT
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;
CREATE TABLE PRODUCT_PROPERTY_VALUE (
  product_property_id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, productId VARCHAR(255), propertyId VARCHAR(200), value TEXT, isDefault TINYINT(1)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;
CREATE TABLE PRODUCT_ON_DEPOT (
  productId VARCHAR(255) NOT NULL, depotId VARCHAR(255) NOT NULL, PRIMARY KEY (productId, depotId),
  FOREIGN KEY (depotId) REFERENCES HOST (hostId) %CHANGE%
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;
CREATE TABLE PRODUCT_ON_CLIENT (
  productId VARCHAR(255) NOT NULL, clientId VARCHAR(255) NOT NULL, PRIMARY KEY (productId, clientId),
  FOREIGN KEY (clientId) REFERENCES HOST (hostId) %CHANGE%
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;
CREATE TABLE OBJECT_TO_GROUP (
  groupType VARCHAR(30) NOT NULL, groupId VARCHAR(100) NOT NULL, objectId VARCHAR(255) NOT NULL, PRIMARY KEY (groupType, groupId, objectId)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;
CREATE TABLE SOFTWARE_LICENSE (
  softwareLicenseId VARCHAR(100) NOT NULL PRIMARY KEY, boundToHost VARCHAR(255),
  FOREIGN KEY (boundToHost) REFERENCES HOST (hostId) %LICENCE%
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;
CREATE TABLE HARDWARE_CONFIG_BIOS (config_id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, hostId VARCHAR(50)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;

INSERT INTO HOST (hostId, type, description, notes, hardwareAddress, opsiHostKey, lastSeen, depotLocalUrl, depotRemoteUrl, depotWebdavUrl, repositoryRemoteUrl, workbenchRemoteUrl, masterDepotId) VALUES
 ('opsi.old.example', 'OpsiConfigserver', 'The server', 'opsi.old.example is the one', '52:54:00:00:00:01', '0123456789abcdef0123456789abcdef', '2020-02-02 02:02:02',
  'file:///var/lib/opsi/depot', 'smb://opsi/opsi_depot', 'webdavs://opsi.old.example:4447/depot', 'webdavs://opsi.old.example:4447/repository', 'smb://opsi/opsi_workbench', NULL),
 ('depot.old.example', 'OpsiDepotserver', 'Second', '', '52:54:00:00:00:02', '1123456789abcdef0123456789abcdef', '2020-02-02 02:02:02',
  'file:///var/lib/opsi/depot', 'smb://depot/opsi_depot', 'webdavs://depot.old.example:4447/depot', 'webdavs://opsi.old.example:4447/mirror', NULL, 'opsi.old.example'),
 ('pc1.old.example', 'OpsiClient', '', '', NULL, '2123456789abcdef0123456789abcdef', '2020-02-02 02:02:02', NULL, NULL, NULL, NULL, NULL, NULL),
 ('pc2.old.example', 'OpsiClient', '', '', NULL, '3123456789abcdef0123456789abcdef', '2020-02-02 02:02:02', NULL, NULL, NULL, NULL, NULL, NULL),
 ('srv2.new.example', 'OpsiClient', 'was to be replaced', '', '52:54:00:00:00:09', '4123456789abcdef0123456789abcdef', '2020-02-02 02:02:02', NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO CONFIG VALUES ('clientconfig.depot.id', 'UnicodeConfig', 'The depot'), ('clientconfig.configserver.url', 'UnicodeConfig', ''), ('path', 'UnicodeConfig', '');
INSERT INTO CONFIG_VALUE (configId, value, isDefault) VALUES
 ('clientconfig.depot.id', 'opsi.old.example', 1), ('clientconfig.depot.id', 'depot.old.example', 0), ('clientconfig.depot.id', 'srv2.new.example', 0),
 ('clientconfig.configserver.url', 'https://opsi.old.example:4447/rpc', 1), ('path', '/srv/opsi/opsi.old.example', 1);
INSERT INTO CONFIG_STATE VALUES
 ('clientconfig.depot.id', 'pc1.old.example', '["opsi.old.example"]'), ('clientconfig.depot.id', 'pc2.old.example', '["depot.old.example"]'),
 ('clientconfig.configserver.url', 'pc1.old.example', '["https://opsi.old.example:4447/rpc", "https://opsi:4447/opsi"]'),
 ('path', 'opsi.old.example', '["/srv/opsi/ä", "\\\\\\\\opsi\\\\opsi_depot"]'), ('path', 'srv2.new.example', '["https://opsi.old.example/of-the-removed"]'),
 ('clientconfig.depot.id', 'srv2.new.example', '["opsi.old.example"]');
INSERT INTO PRODUCT_PROPERTY_STATE (productId, propertyId, objectId, `values`) VALUES ('opsi', 'server', 'opsi.old.example', '["opsi.old.example"]'), ('opsi', 'server', 'pc1.old.example', '["opsi"]');
INSERT INTO PRODUCT_PROPERTY_VALUE (productId, propertyId, value, isDefault) VALUES ('opsi', 'server', 'opsi.old.example', 1), ('opsi', 'share', '\\\\opsi\\x', 0);
INSERT INTO PRODUCT_ON_DEPOT VALUES ('opsi', 'opsi.old.example'), ('firefox', 'opsi.old.example'), ('firefox', 'depot.old.example');
INSERT INTO PRODUCT_ON_CLIENT VALUES ('firefox', 'pc1.old.example'), ('firefox', 'srv2.new.example');
INSERT INTO OBJECT_TO_GROUP VALUES ('HostGroup', 'servers', 'opsi.old.example'), ('HostGroup', 'servers', 'srv2.new.example'), ('HostGroup', 'clients', 'pc1.old.example');
INSERT INTO SOFTWARE_LICENSE VALUES ('l1', 'opsi.old.example'), ('l2', 'srv2.new.example'), ('l3', 'pc1.old.example'), ('l4', NULL);
INSERT INTO HARDWARE_CONFIG_BIOS (hostId) VALUES ('opsi.old.example'), ('pc1.old.example'), ('srv2.new.example');
